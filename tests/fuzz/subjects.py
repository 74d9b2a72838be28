"""What is fuzzed: all that losses, kernels and metrics export, found from their lists of names."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass, is_dataclass
from types import ModuleType, NoneType
from typing import Any, Literal

import torch
from torch import Tensor, nn

import graphkd.kernels
import graphkd.losses
import graphkd.tasks
import recsys.evaluate
import recsys.losses
from graphkd import Loss
from tests.fuzz.arguments import ENTRIES, NAMES, OMIT, SUBJECT
from tests.fuzz.draw import Draw
from tests.fuzz.given import numbers
from tests.fuzz.metrics import METRICS

SHELVES: dict[str, ModuleType] = {
    "kernels": graphkd.kernels,
    "losses": graphkd.losses,
    "recsys": recsys.losses,
    "tasks": graphkd.tasks,
    "evaluate": recsys.evaluate,
}
# What is not fuzzed, and why.
LEFT_OUT: dict[str, str] = {
    "kernels.EdgeLayout": "a record",
    "losses.NeighbourAnswers": "a record",
    "losses.SoftLabels": "a record",
    "losses.Proximity": "settings",
    "losses.Paraphraser": "a network that FT trains",
    "losses.survey_objective": "a sum of losses that are fuzzed themselves",
    "losses.louvain_regions": "an algorithm of networkx on a graph alone",
    "recsys.Annealing": "settings",
    "recsys.Discrepancy": "a record",
    "recsys.RDWeights": "a record",
    "recsys.RoutedExperts": "experts that DE and HTD train",
    "recsys.Decay": "shows what a model has summed",
    "recsys.RecBoleLoss": "asks a model of RecBole for its own loss",
    "tasks.Fidelity": "a record",
    "tasks.hold_out": "cuts a graph, no numbers",
    "evaluate.DEFAULT": "names",
    "evaluate.METRICS": "names",
    "evaluate.Candidates": "a record",
    "evaluate.draw_candidates": "draws ids",
    "evaluate.drawn_candidates": "draws ids",
    "evaluate.held_out": "reads ids",
    "evaluate.predicted": "what a model shows, as it is",
}
# Results that may be infinite by definition, and results of which rows without entries give no 0.
INFINITE = (
    "kernels.product_logsumexp",  # without candidates
    "kernels.counted_logsumexp",
    "kernels.infonce",
    "kernels.ranking_log_likelihood",
    "losses.crd_log_normaliser",  # the logarithm of a mean over nothing
    "losses.crcd_log_normaliser",
)
SIZES = {"recsys.CrossDistil": {"width": 2}}
_REGRESSION = "graphkd.losses.regression"


@dataclass(frozen=True)
class Subject:
    """Something to evaluate on a draw: a loss, a function or a metric."""

    name: str
    target: Any
    run: Callable[[Draw], Any]
    metric: bool = False

    def sizes(self) -> dict[str, int]:
        """Sizes that it fixes."""
        return SIZES.get(self.name, {})


def find() -> Iterator[Subject]:
    """All of them, in the order of their names."""
    for shelf, module in SHELVES.items():
        for exported in sorted(module.__all__):
            name = f"{shelf}.{exported}"
            if name not in LEFT_OUT:
                yield _subject(name, getattr(module, exported))


def _subject(name: str, target: Any) -> Subject:
    if name in METRICS:
        return Subject(name, target, METRICS[name], metric=True)
    if inspect.isclass(target) and issubclass(target, Loss):
        return Subject(name, target, functools.partial(_run_loss, name, target))
    return Subject(name, target, lambda draw: target(**_keywords(name, target, draw, skip=())))


# ---------------------------------------------------------------- arguments
@functools.cache
def _parameters(target: Any) -> tuple[tuple[str, Any, bool], ...]:
    """Name, type and whether it is needed, of every parameter."""
    function = target.__init__ if inspect.isclass(target) else target
    hints = typing.get_type_hints(target if is_dataclass(target) else function)
    return tuple(
        (name, hints.get(name), parameter.default is parameter.empty)
        for name, parameter in inspect.signature(target).parameters.items()
        if parameter.kind is not parameter.VAR_KEYWORD
        and (parameter.kind is not parameter.VAR_POSITIONAL or name in NAMES)
    )


def _keywords(subject: str, target: Any, draw: Draw, skip: tuple[str, ...]) -> dict[str, Any]:
    found = {}
    for name, hint, needed in _parameters(target):
        if name in skip:
            continue
        value = _value(subject, target, name, hint, needed, draw)
        if value is not OMIT:
            found[name] = value
    return found


def _maker(subject: str, name: str) -> Any:
    shelf = subject.partition(".")[0]
    for key in (f"{subject}.{name}", f"{shelf}.*.{name}"):
        if key in SUBJECT:
            return SUBJECT[key]
    return NAMES.get(name)


def _value(subject: str, target: Any, name: str, hint: Any, needed: bool, draw: Draw) -> Any:
    made = _maker(subject, name)
    if name == "y" and f"{subject}.y" not in SUBJECT and target.__module__.startswith(_REGRESSION):
        made = numbers
    if made is OMIT:
        return OMIT
    if made is not None:
        wide = typing.get_origin(hint) is tuple and f"{subject}.{name}" not in SUBJECT
        return _several(name, made, draw) if wide else made(draw)
    choices = _choices(hint)
    if choices:
        return draw.choose(name, choices)
    if needed:
        raise LookupError(f"tests/fuzz/arguments.py does not say what to give {subject} for {name!r}")
    return OMIT


def _choices(hint: Any) -> tuple[Any, ...]:
    """The values of a Literal or a flag, None among them where that is allowed."""
    if hint is bool:
        return (False, True)
    if typing.get_origin(hint) is Literal:
        return typing.get_args(hint)
    members = typing.get_args(hint)
    found = next((typing.get_args(member) for member in members if typing.get_origin(member) is Literal), ())
    return (None, *found) if found and NoneType in members else found


def _several(name: str, made: Callable[[Draw], Tensor], draw: Draw) -> tuple[Tensor, ...]:
    """Two tensors of a kind where a tuple is asked for."""
    second = draw.rows(f"{name}:2", *made(draw).shape, differentiable=name != "teacher")
    return (draw.leaves.get(name, made(draw)), second)


# ---------------------------------------------------------------- losses
def _made(name: str, target: type[Loss], draw: Draw) -> Loss:
    torch.manual_seed(0)
    keywords = _keywords(name, target, draw, skip=("on", "where"))
    shape = keywords.pop("shape", ())
    loss = target(*shape, **keywords).to(draw.narrow).to(draw.dtype)
    for layer in loss.modules() if draw.shake else ():
        if isinstance(layer, nn.Linear):
            layer.register_forward_hook(functools.partial(_rounded, draw))
    return loss


def _rounded(draw: Draw, _layer: nn.Module, _rows: Any, out: Tensor) -> Tensor:
    """A layer's output moved by as many of its roundings as a constant may have: see ``kernels.norms.constants``."""
    noise = torch.randn(out.shape, generator=draw.generator(f"layer:shake{draw.shake}"), dtype=out.dtype)
    return out * (1 + 16 * torch.finfo(torch.promote_types(draw.narrow, torch.float32)).eps * noise)


def _run_loss(name: str, target: type[Loss], draw: Draw) -> Tensor:
    """As a Distiller evaluates it, the teacher digested."""
    loss = _made(name, target, draw)
    trained = {f"loss.{key}": value for key, value in loss.named_parameters() if value.requires_grad}
    draw.layers = bool(trained)
    draw.leaves |= trained
    entries = (loss.on,) if isinstance(loss.on, str) else loss.on
    if loss.needs_teacher:
        with torch.no_grad():
            shown = {entry: _entry(name, "teacher", entry, draw) for entry in entries}
    batch = _batch(name, target, draw)
    view = {entry: _entry(name, "student", entry, draw) for entry in entries}
    torch.manual_seed(1)
    digest = loss.digest_view(shown, batch) if loss.needs_teacher else None
    value = loss.measure(view, digest, batch)
    return torch.zeros(()) if value is None else value


def _entry(name: str, side: str, entry: str, draw: Draw) -> Tensor:
    if name in ENTRIES:
        own = ENTRIES[name](draw, f"{side}:{entry}")
        return own.detach() if side == "teacher" else own
    first = entry in ("hidden", "hidden_0", "first", "logits", "output")
    made = NAMES[side](draw) if first else None
    if made is not None:
        return made
    size = draw.sizes
    width = size["width"] if side == "student" else size["teacher_width"]
    return draw.rows(f"{side}:{entry}", size["rows"], width, differentiable=side == "student")


def _batch(name: str, target: type[Loss], draw: Draw) -> dict[str, Any]:
    hints = typing.get_type_hints(target.forward)
    batch = {}
    for fact, needed in target._known["forward"].items():
        key = name if f"{name}.forward.{fact}" not in SUBJECT else f"{name}.forward"
        value = _value(key, target, fact, hints.get(fact), needed, draw)
        if value is not OMIT:
            batch[fact] = value
    return batch
