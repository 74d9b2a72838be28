"""What a search of settings looks through: ranges of a method's numbers, of its training, and of the student's own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from graphkd.core.method import SPAN, Metadata

NO_DECAY = (1e-7, 1e-3)  # what is searched of the weight decay where the published one is 0
DROPOUT = (0.0, 0.8)


@dataclass(frozen=True)
class Setting:
    """One choice of everything that is searched: of the method, of the training, and of the student's factory."""

    method: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, float] = field(default_factory=dict)
    student: Mapping[str, Any] = field(default_factory=dict)

    @property
    def optimizer(self) -> Callable[..., torch.optim.Optimizer]:
        """Adam with the learning rate and weight decay of this setting."""
        adam: Callable[..., torch.optim.Optimizer] = torch.optim.Adam
        return partial(adam, **self.training)

    def values(self) -> dict[str, Any]:
        """All of it by name."""
        return {**self.method, **self.training, **self.student}


class Space:
    """What is searched: every number of a method that is not given, learning rate, weight decay, and the factory's own.

    asked: name -> (low, high), log-uniform, or a list of choices; other ranges than those that the method has.
    """

    def __init__(
        self, chosen: Metadata, usual: Mapping[str, float], student: Any, given: Mapping[str, Any], asked: Any
    ) -> None:
        asked = dict(asked or {})
        self.method: dict[str, Any] = {name: r for name, r in chosen.space.items() if name not in given}
        self.published = {name: chosen.settings[name] for name in self.method}
        self.training = {
            name: NO_DECAY if not value else (value / SPAN, value * SPAN)
            for name, value in usual.items()
            if name not in chosen.settings
        }
        self.usual = {name: usual[name] for name in self.training}
        self.student, self.made = _of_factory(student)
        for part in (self.method, self.training, self.student):
            part.update({name: asked.pop(name) for name in list(asked) if name in part})
        new = {name: asked.pop(name) for name in list(asked) if name in chosen.settings and name not in given}
        self.method |= new
        self.published |= {name: chosen.settings[name] for name in new}
        if asked:
            known = sorted({*chosen.settings, *self.training, *self.student})
            raise ValueError(f"'space' has ranges of what is not searched, {sorted(asked)}: it may have {known}")

    def start(self) -> dict[str, Any]:
        """The published setting, as optuna is told of it."""
        values = {**self.published, **{name: value or NO_DECAY[0] for name, value in self.usual.items()}, **self.made}
        return {name: value for name, value in values.items() if value is not None and self._holds(name, value)}

    def draw(self, trial: Any) -> Setting:
        """The setting of a trial."""
        parts = (self.method, self.training, self.student)
        method, training, student = ({name: _drawn(trial, name, r) for name, r in part.items()} for part in parts)
        return Setting(method, training, student)

    def _holds(self, name: str, value: Any) -> bool:
        known = {**self.method, **self.training, **self.student}[name]
        return value in known if isinstance(known, list) else known[0] <= value <= known[1]


def _of_factory(student: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Ranges and defaults of a factory's dropout; a module has none."""
    if student is None or isinstance(student, torch.nn.Module):
        return {}, {}
    parameters = inspect.signature(student).parameters
    needed = [name for name, p in parameters.items() if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
    if [name for name in needed if name != "dropout"]:
        raise TypeError(f"'student' must be a function of 'dropout' or of nothing, it asks for {needed}")
    if "dropout" not in parameters:
        return {}, {}
    default = parameters["dropout"].default
    return {"dropout": DROPOUT}, {} if default is inspect.Parameter.empty else {"dropout": float(default)}


def _drawn(trial: Any, name: str, known: Any) -> Any:
    if isinstance(known, list):
        return trial.suggest_categorical(name, known)
    low, high = known
    if isinstance(low, int) and isinstance(high, int):
        return trial.suggest_int(name, low, high, log=low > 0)
    return trial.suggest_float(name, low, high, log=low > 0)
