"""Online distillation: several students learn at once, each from the labels and from what a rule makes of them all."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from graphkd.core.distiller import Step
from graphkd.core.loss import Loss
from graphkd.core.moving import EMA, kept_by
from graphkd.core.trainable import Trainable
from graphkd.core.view import Batch, Call, View, Viewer, fill, required
from graphkd.losses.response.ce import CE
from graphkd.losses.response.kd import KL
from graphkd.schemes.ramps import sigmoid_rampup

LABELS = CE(where="train_mask")


class Pupil(NamedTuple):
    """A classifier that a rule trains beside the peers: its logits (N, C), and what it is taught, if anything."""

    logits: Tensor
    target: Tensor | None = None


@dataclass(frozen=True)
class Taught:
    """What a rule makes of the peers' answers.

    targets: weights, and targets as logits, (M, N, C) one for each peer, or (N, C) for all; a rule that means no
    gradient to reach what it is made of detaches it. beside: further classifiers. terms: further losses, as they are.
    """

    targets: Sequence[tuple[float, Tensor]] = ()
    beside: Mapping[str, Pupil] = field(default_factory=dict)
    terms: Mapping[str, Tensor] = field(default_factory=dict)


Rule = Callable[..., Taught]


def teach(
    views: Sequence[View], taught: Taught, batch: Batch, labels: Loss, soft: Loss, *, weight: float = 1.0
) -> Step:
    """The losses of all peers and of what is trained beside them.

    sum_k [labels(view_k) + weight sum_r w_r soft(view_k, target_rk)] + the same for each pupil + the rule's terms.
    Terms, before ``weight``: ``label_0``, ``soft_0``, ``label_1``..., ``label_<pupil>``, ``soft_<pupil>``, the rule's.
    """
    shown: dict[str, tuple[View, list[tuple[float, Tensor]]]] = {}
    for k, view in enumerate(views):
        shown[str(k)] = view, [(w, t[k] if t.dim() == 3 else t) for w, t in taught.targets]
    for name, pupil in taught.beside.items():
        shown[name] = {"logits": pupil.logits}, [] if pupil.target is None else [(1.0, pupil.target)]
    terms: dict[str, Tensor] = {}
    total: Any = 0.0
    for name, (view, targets) in shown.items():
        soft_losses = [(share, _measure(soft, view, {"logits": target}, batch)) for share, target in targets]
        parts = {"label": [(1.0, _measure(labels, view, {}, batch))], "soft": soft_losses}
        for part, scale in (("label", 1.0), ("soft", weight)):
            found = [share * value for share, value in parts[part] if value is not None]
            if found:
                terms[f"{part}_{name}"] = sum(value.detach() for value in found)  # type: ignore[assignment]
                total = total + scale * sum(found)
        total = total + 0.0 * view["logits"].sum()  # where no row was chosen there is still something to differentiate
    total = total + sum(taught.terms.values())
    return Step(total, terms | {name: term.detach() for name, term in taught.terms.items()})


def _measure(loss: Loss, view: View, target: View, batch: Batch) -> Tensor | None:
    """A weighted sum of losses; None where all rows are masked."""
    found = []
    for weight, part in loss.parts():
        digest = part.digest_view(target, batch) if part.needs_teacher else None
        value = part.measure(view, digest, batch)
        if value is not None:
            found.append(weight * value)
    return torch.stack(found).sum() if found else None


class Peers(Trainable):
    """Several students at once, which a rule makes each other's teachers; ``forward(batch) -> Step``, for ``fit``.

    Choose online distillation where no trained teacher is at hand, or training one first takes too long: all peers are
    trained in one go, and any one is kept. ``student`` is the ``ModuleList`` of them; give ``fit`` a metric of the one
    that will be used, ``metric=lambda peers: accuracy(peers[0], data, "val_mask")``.

    models: two at least, of the same classes. rule: what they are taught, see ``Taught``; a function or a module, which
    trains with them. It asks for what it needs by name: ``logits`` (M, N, C); ``hidden``, the list of the tapped
    (N, d_k); ``averaged``, the logits of the peers' moving averages (``decay``); ``y``, the labels of the rows that
    ``labels`` selects, 0 elsewhere; ``validation_logits`` and ``validation_y``, the rows of ``val_mask``; any other
    fact of the batch. labels: the supervised loss of each peer. soft: that between a peer and its target, weighted by
    ``weight``, which rises over ``warm_up`` epochs as exp(-5 (1 - epoch / warm_up)^2). hidden: tap path of the
    representation, one or one a peer. views: batch -> batch, called once for each peer, so that each sees its own
    (augmented) graph of the same nodes. call: as in ``Distiller``.
    Peers take their steps at once, on answers from before the step. A step costs M forward and backward passes.
    """

    def __init__(
        self,
        models: Sequence[nn.Module],
        rule: Rule,
        *,
        labels: Loss = LABELS,
        soft: Loss | None = None,
        weight: float = 1.0,
        warm_up: int = 0,
        hidden: str | Sequence[str] | None = None,
        decay: float = 0.999,
        views: Callable[[Any], Any] | None = None,
        call: Call | None = None,
    ) -> None:
        super().__init__()
        if len(models) < 2:
            raise ValueError(f"'models' must hold two peers at least, got {len(models)}")
        paths = [hidden] * len(models) if isinstance(hidden, str) or hidden is None else list(hidden)
        if len(paths) != len(models):
            raise ValueError(f"'hidden' must be one path, or one of each of {len(models)} peers, got {len(paths)}")
        self.student = nn.ModuleList(models)
        self.rule, self.labels, self.soft = rule, labels, KL(3.0) if soft is None else soft
        self.weight, self.warm_up, self.ramp, self.views = weight, warm_up, 1.0, views
        taps = [{} if path is None else {"hidden": path} for path in paths]
        self._viewers = [self.hold(Viewer(model, taps=tap, call=call)) for model, tap in zip(models, taps, strict=True)]
        self._wanted, self._welcome = _asks(rule)
        self._averages = [EMA(model, decay, call=call) for model in models] if "averaged" in self._wanted else []
        self.moving = kept_by(*self._averages)
        if "y" in self._wanted and self._rows() != {part.where for _, part in self.soft.parts()}:
            raise ValueError(
                f"the rule reads labels: 'soft' must be restricted to the rows of 'labels', where={self._rows()}"
            )

    def forward(self, batch: Batch) -> Step:
        """All peers on one batch, and what the rule makes of them."""
        batches = [batch if self.views is None else self.views(batch) for _ in self._viewers]
        views = [viewer(own) for viewer, own in zip(self._viewers, batches, strict=True)]
        shapes = [tuple(view["logits"].shape) for view in views]
        if len(set(shapes)) > 1:
            raise ValueError(f"peers must answer in one shape, got {shapes}")
        taught = self.rule(**self._facts(views, batches, batch))
        return teach(views, taught, batch, self.labels, self.soft, weight=self.weight * self.ramp)

    def _facts(self, views: Sequence[View], batches: Sequence[Any], batch: Any) -> dict[str, Any]:
        """What the rule asked for."""
        logits = torch.stack([view["logits"] for view in views])
        made: dict[str, Callable[[], Any]] = {
            "logits": lambda: logits,
            "hidden": lambda: [_hidden(view) for view in views],
            "averaged": lambda: torch.stack(
                [average(own)["logits"] for average, own in zip(self._averages, batches, strict=True)]
            ),
            "y": lambda: self._known(batch),
            "validation_logits": lambda: logits[:, fill(["val_mask"], batch, "the rule")["val_mask"]],
            "validation_y": lambda: batch["y"][batch["val_mask"]],
        }
        facts = {name: made[name]() for name in self._wanted if name in made}
        facts |= fill([name for name in self._wanted if name not in made], batch, "the rule")
        return facts | {name: batch[name] for name in self._welcome if name in batch}

    def _rows(self) -> set[str | None]:
        return {part.where for _, part in self.labels.parts()}

    def _known(self, batch: Any) -> Tensor:
        """The labels of the rows that train; no other is read."""
        y = batch["y"]
        (_, first), *_ = self.labels.parts()
        rows = first._choose(torch.arange(y.size(0), device=y.device), batch)
        return torch.zeros_like(y).index_copy(0, rows, y[rows])

    def set_epoch(self, epoch: int, epochs: int) -> None:
        """Called by ``fit`` before epoch ``epoch`` of ``epochs``, from 0."""
        self.ramp = sigmoid_rampup(epoch, self.warm_up)
        for loss in (self.labels, self.soft):
            for _, part in loss.parts():
                part.set_epoch(epoch, epochs)


def _asks(rule: Rule) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names that a rule needs, and those of keyword-only arguments that it takes where a batch has them."""
    function = rule.forward if isinstance(rule, nn.Module) else rule
    parameters = inspect.signature(function).parameters.values()
    return required(function), tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is None)


def _hidden(view: View) -> Tensor:
    if "hidden" not in view:
        raise KeyError(f"the rule reads 'hidden' of the peers, which show {sorted(view)}: give hidden='path.of.layer'")
    return view["hidden"]


def shared_trunk(models: Sequence[nn.Module], *paths: str) -> Sequence[nn.Module]:
    """Let all models use the first one's sub-modules of these paths; returns them.

    Branches on one trunk, as ONE, PCL and OKDDip have them: fewer weights, and peers that are more alike. Each model
    still runs its trunk, with a dropout mask of its own.
    """
    for path in paths:
        owner, _, name = path.rpartition(".")
        trunk = models[0].get_submodule(path)
        for model in models[1:]:
            model.get_submodule(path)  # which raises where there is none
            model.get_submodule(owner)._modules[name] = trunk
    return models
