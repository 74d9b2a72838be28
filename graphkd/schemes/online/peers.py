"""Online distillation: several students learn at once, each from the labels and from a rule's targets."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from graphkd.core.batches import changed, mapped
from graphkd.core.distiller import Step
from graphkd.core.loss import Loss
from graphkd.core.moving import EMA, kept_by
from graphkd.core.problem import Problem
from graphkd.core.taps import module_path
from graphkd.core.trainable import Trainable
from graphkd.core.view import Batch, Call, View, Viewer, fill, required
from graphkd.losses._checks import choose
from graphkd.losses.response.kd import KL
from graphkd.schemes._measured import measured
from graphkd.schemes._ramps import sigmoid_rampup
from graphkd.schemes._rows import chosen_rows


class Auxiliary(NamedTuple):
    """Classifier that a rule trains beside the peers: its logits (N, C), and its target, if it has one."""

    logits: Tensor
    target: Tensor | None = None


@dataclass(frozen=True)
class PeerTargets:
    """Targets that a rule makes of the peers' answers.

    targets: pairs of a weight and target logits, (M, N, C) with one for each peer, or (N, C) for all; a rule detaches
    targets that should pass no gradient on. auxiliary: name -> further classifier. terms: name -> further loss.
    """

    targets: Sequence[tuple[float, Tensor]] = ()
    auxiliary: Mapping[str, Auxiliary] = field(default_factory=dict)
    terms: Mapping[str, Tensor] = field(default_factory=dict)


Rule = Callable[..., PeerTargets]


def peer_losses(
    views: Sequence[View],
    made: PeerTargets,
    batch: Batch,
    labels: Loss,
    soft: Loss,
    *,
    weight: float = 1.0,
    note: Callable[[Mapping[str, Tensor]], None] | None = None,
) -> Step:
    """Sum the losses of all peers and of auxiliary classifiers; ``note`` is called with the weighted terms.

    sum_k [labels(view_k) + weight sum_r w_r soft(view_k, target_rk)] + the same for each auxiliary classifier + the
    rule's terms. views: one of each peer. made: the targets w_r, target_rk that the rule made. Terms, before
    ``weight``: ``label_0``, ``soft_0``, ``label_1``..., ``label_<auxiliary>``, ``soft_<auxiliary>``, the rule's.
    """
    shown: dict[str, tuple[View, list[tuple[float, Tensor]]]] = {}
    for k, view in enumerate(views):
        shown[str(k)] = view, [(w, t[k] if t.dim() == 3 else t) for w, t in made.targets]
    for name, other in made.auxiliary.items():
        shown[name] = {"logits": other.logits}, [] if other.target is None else [(1.0, other.target)]
    terms: dict[str, Tensor] = {}
    weighed: dict[str, Tensor] = {}
    total: Any = 0.0
    for name, (view, targets) in shown.items():
        soft_losses = [(share, measured(soft, view, {"logits": target}, batch)) for share, target in targets]
        parts = {"label": [(1.0, measured(labels, view, {}, batch))], "soft": soft_losses}
        for part, scale in (("label", 1.0), ("soft", weight)):
            found = [share * value for share, value in parts[part] if value is not None]
            if found:
                terms[f"{part}_{name}"] = sum(value.detach() for value in found)  # type: ignore[assignment]
                weighed[f"{part}_{name}"] = scale * sum(found)  # type: ignore[assignment]
                total = total + weighed[f"{part}_{name}"]
        total = total + 0.0 * view["logits"].sum()  # differentiable even where no row was chosen
    total = total + sum(made.terms.values())
    if note is not None:
        note(weighed | dict(made.terms))
    return Step(total, terms | {name: term.detach() for name, term in made.terms.items()})


class Peers(Trainable):
    """Several students at once, which teach each other by a rule; ``forward(batch) -> Step``, for ``fit``.

    Choose online distillation where training a teacher first takes too long: all peers are trained at once, and any of
    them can be used. ``student`` is their ``ModuleList``; ``serve=lambda peers: peers[0]`` of ``fit`` selects one.

    models: two at least, of the same classes. rule: makes their ``PeerTargets``; a function, or a module, which trains
    with them. It takes its inputs by name: ``logits`` (M, N, C); ``hidden``, the list of the tapped (N, d_k);
    ``averaged``, the logits of the peers' moving averages (``decay``); any other entry of the batch. labels: the
    supervised loss of each peer. soft: the loss between a peer and its target (by default KL at T = 3). It is computed
    on the rows of ``labels``, as in the papers, unless it has its own ``where``, such as "all"; on rows without labels
    each peer then learns from untrained others at first. weight: of ``soft``; it rises over the share ``ramp`` of
    training as exp(-5 (1 - e)^2), e the elapsed part of that share. hidden: tap path of the hidden layer, one for all
    or one per peer. call: as in ``Distiller``, one for all or one per peer. views: batch -> batch, called once for each
    peer, so that each sees its own (augmented) graph of the same nodes. Peers are updated at once, on answers from
    before the step. A step costs M forward and backward passes. Raises ValueError for fewer than two models and for a
    ``ramp`` outside [0, 1]; ``forward`` does where answers differ in shape.
    """

    def __init__(
        self,
        models: Sequence[nn.Module],
        rule: Rule,
        *,
        labels: Loss,
        soft: Loss | None = None,
        weight: float = 1.0,
        ramp: float = 0.0,
        hidden: str | Sequence[str | None] | None = None,
        call: Call | Sequence[Call | None] | None = None,
        decay: float = 0.999,
        views: Callable[[Any], Any] | None = None,
    ) -> None:
        super().__init__()
        if len(models) < 2:
            raise ValueError(f"'models' must hold two peers at least, got {len(models)}")
        if not 0 <= ramp <= 1:
            raise ValueError(f"'ramp' must be in [0, 1], a share of training, got {ramp}")
        self.student = nn.ModuleList(models)
        self.rule, self.labels = rule, labels
        self.soft = _on_rows_of(labels, KL(3.0) if soft is None else soft)
        self.weight, self.ramp, self.views = weight, ramp, views
        self._risen = 1.0  # factor of the weight, by ``ramp``
        self._wanted, self._welcome = _asks(rule)
        calls, paths = _each("call", call, len(models)), _each("hidden", hidden, len(models))
        paths = paths if "hidden" in self._wanted else [None] * len(models)
        taps = [{} if path is None else {"hidden": path} for path in paths]
        sides = zip(models, taps, calls, strict=True)
        self._viewers = [self.hold(Viewer(model, taps=tap, call=own)) for model, tap, own in sides]
        averaged = zip(models, calls, strict=True) if "averaged" in self._wanted else ()
        self._averages = [EMA(model, decay, call=own) for model, own in averaged]
        self.moving = kept_by(*self._averages)

    def forward(self, batch: Batch) -> Step:
        """Evaluate all peers on one batch, and sum their losses, see ``peer_losses``."""
        batches = [batch if self.views is None else self.views(batch) for _ in self._viewers]
        views = [viewer(own) for viewer, own in zip(self._viewers, batches, strict=True)]
        shapes = [tuple(view["logits"].shape) for view in views]
        if len(set(shapes)) > 1:
            raise ValueError(f"peers must answer in one shape, got {shapes}")
        made = self.rule(**self._entries(views, batches, batch))
        return peer_losses(views, made, batch, self.labels, self.soft, weight=self.weight * self._risen, note=self.note)

    def _entries(self, views: Sequence[View], batches: Sequence[Any], batch: Any) -> dict[str, Any]:
        """Collect the inputs of the rule."""
        wanted = [name for name in self._wanted if name not in ("logits", "hidden", "averaged")]
        found = fill(wanted, batch, "the rule")
        if "logits" in self._wanted:
            found["logits"] = torch.stack([view["logits"] for view in views])
        if "hidden" in self._wanted:
            found["hidden"] = [_hidden(view) for view in views]
        if self._averages:
            pairs = zip(self._averages, batches, strict=True)
            found["averaged"] = torch.stack([average(seen)["logits"] for average, seen in pairs])
        return found | {name: batch[name] for name in self._welcome if name in batch}

    def set_epoch(self, epoch: int, epochs: int) -> None:
        """Set the weight's rise and the losses' epoch, from 0; ``fit`` calls this before every epoch."""
        self._risen = sigmoid_rampup(epoch, self.ramp * epochs)
        for loss in (self.labels, self.soft):
            for _, part in loss.parts():
                part.set_epoch(epoch, epochs)


def _on_rows_of(labels: Loss, soft: Loss) -> Loss:
    """Restrict a loss of soft targets to the rows of the labels, except its parts that have rows of their own."""
    where = next(part.where for _, part in labels.parts())
    soft = copy.deepcopy(soft)
    for _, part in soft.parts() if where is not None else ():
        if part.where is None:
            part.where = where
    return soft


def _asks(rule: Rule) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """List the arguments that a rule requires, and its keyword-only ones, which it gets where a batch has them."""
    function = rule.forward if isinstance(rule, nn.Module) else rule
    parameters = inspect.signature(function).parameters.values()
    return required(function), tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is None)


def _each(name: str, value: Any, peers: int) -> list[Any]:
    """List one value per peer, from one for all or one for each."""
    found = list(value) if isinstance(value, (list, tuple)) else [value] * peers
    if len(found) != peers:
        raise ValueError(f"'{name}' must be one for all, or one for each of {peers} peers, got {len(found)}")
    return found


def _hidden(view: View) -> Tensor:
    if "hidden" not in view:
        raise KeyError(f"the rule reads 'hidden' of the peers, which show {sorted(view)}: give hidden='path.of.layer'")
    return view["hidden"]


def shared_trunk(models: Sequence[nn.Module], *paths: str) -> Sequence[nn.Module]:
    """Let all models share the first one's sub-modules at these paths; return the models.

    Gives branches on one trunk, as in ONE, PCL and OKDDip: fewer weights, and peers that are more alike. Each model
    still runs the trunk itself, with its own dropout mask. Paths may be tap paths, whose port or number is ignored.
    Raises AttributeError where a model has no such sub-module.
    """
    for path in map(module_path, paths):
        owner, _, name = path.rpartition(".")
        trunk = models[0].get_submodule(path)
        for model in models[1:]:
            model.get_submodule(path)  # which raises where there is none
            model.get_submodule(owner)._modules[name] = trunk
    return models


Others = Sequence[nn.Module] | None  # given peers, or None for fresh ones
Where = Literal["labelled", "all"]  # rows that learn from peers


def peers_of(problem: Problem, peers: Others, count: int) -> list[nn.Module]:
    """List the student first, then its peers: the given ones, else fresh ones of its kind, ``count`` models in all."""
    if peers is not None and not (
        isinstance(peers, (list, tuple, nn.ModuleList)) and all(isinstance(peer, nn.Module) for peer in peers)
    ):
        raise TypeError(f"'peers' must be a list of modules, got {peers!r:.60}: 'count' says how many fresh ones")
    if peers is None:
        return [problem.student, *(problem.fresh_student(number) for number in range(1, count))]
    return [problem.student, *(peer.to(problem.device) for peer in peers)]


def soft_of(problem: Problem, temperature: float, where: Where) -> Loss:
    """Make the loss between a peer and its target, on labelled rows or on all."""
    choose("where", where, get_args(Where))
    return problem.soft(temperature, where=problem.labelled if where == "labelled" else "all")


def leader_last(models: list[nn.Module]) -> list[nn.Module]:
    """Move the student, which comes first, to the last place, the leader's; ValueError for fewer than two peers."""
    if len(models) < 3:
        raise ValueError(f"there must be two peers and the student that they lead to, at least, got {len(models)}")
    return [*models[1:], models[0]]


def one_width(problem: Problem, models: Sequence[nn.Module]) -> int:
    """Return the common width of the peers' hidden layers; ValueError where they differ."""
    widths = [problem.width_of(model) for model in models]
    if len(set(widths)) > 1:
        raise ValueError(f"hidden layers of peers must be of one width here, got {widths}: give 'peers' of such")
    return widths[0]


def with_known(problem: Problem, where: str, data: Any = None) -> Any:
    """Add the entry ``known`` to the data: the labels of the rows that the mask ``where`` selects, 0 elsewhere.

    It is added batch by batch, so that rows that are no batch's own, such as sampled neighbours, have labels too.
    """

    def known(batch: Any) -> Tensor:
        labels = problem.task.targets(batch)
        return torch.where(batch[where], labels, torch.zeros_like(labels))

    return mapped(problem.data if data is None else data, lambda batch: changed(batch, known=known(batch)))


def with_taught(problem: Problem, where: Where) -> Any:
    """Add the entry ``taught`` to the data, a mask of the rows that learn from peers, for rules of hidden features."""
    name = problem.labelled if where == "labelled" else None

    def taught(batch: Any) -> Tensor:
        labels = problem.task.targets(batch)
        return chosen_rows(batch, name, labels.size(0), labels.device)

    return mapped(problem.data, lambda batch: changed(batch, taught=taught(batch)))


def train_peers(
    problem: Problem, models: Sequence[nn.Module], rule: Rule, *, data: Any = None, **options: Any
) -> nn.Module:
    """Train peers in one stage, and return the student at its epoch of best validation.

    data: the problem's by default. options: of ``Peers``; ``labels`` is the problem's supervised loss by default.
    """
    kept = next(place for place, model in enumerate(models) if model is problem.student)
    hidden, calls = [problem.path_of(model) for model in models], [problem.call_of(model) for model in models]
    options.setdefault("labels", problem.supervised())
    trainable = Peers(models, rule, hidden=hidden, call=calls, **options)
    return problem.train(trainable, "peers", data, serve=lambda peers: peers[kept])
