"""Search space of settings: ranges of a method's hyper-parameters, its training's, and the student's."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from graphkd.core.adam import adam
from graphkd.core.hyperparameters import finite_number
from graphkd.core.method import SPAN, Metadata

TRAINING = ("lr", "weight_decay")
NO_DECAY = (1e-7, 1e-3)  # range of a weight decay whose published value is 0
NEAR = 5.0  # a near value is within this factor of the start
DROPOUT, USUAL_DROPOUT = (0.0, 0.8), 0.5  # range, and the default where the student's function has none


@dataclass(frozen=True)
class Setting:
    """Point of a search space: settings of the method, of the training, and of the student's function.

    usual: train with the method's own options, which may differ between its stages, in place of ``training``.
    """

    method: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, float] = field(default_factory=dict)
    student: Mapping[str, Any] = field(default_factory=dict)
    usual: bool = False

    @property
    def options(self) -> dict[str, Any]:
        """Return options of ``distil``: the method's settings, and Adam with this learning rate and weight decay."""
        if self.usual or not self.training:
            return dict(self.method)
        return {**self.method, "optimizer": adam(**self.training)}

    @property
    def values(self) -> dict[str, Any]:
        """Return all values by name."""
        return {**self.student, **self.training, **self.method}


class Space:
    """Search space: a method's hyper-parameters that are not given, learning rate and weight decay, and the student's.

    usual: the default options of the training. start: name -> the first trial's value in place of the published one;
    ranges lie around it. asked: name -> (low, high) or a list of choices, in place of the method's own range. A range
    above 0 is searched log-uniformly, one of two integers among integers. Raises ValueError for names in ``start`` or
    ``asked`` that are not searched.
    """

    def __init__(
        self,
        chosen: Metadata,
        usual: Mapping[str, float],
        student: Any,
        given: Mapping[str, Any],
        *,
        start: Mapping[str, Any] | None = None,
        asked: Mapping[str, Any] | None = None,
    ) -> None:
        start, asked = dict(start or {}), dict(asked or {})
        made = {name: start.get(name, value) for name, value in _of_factory(student, asked).items()}
        taken = {*given, *made}  # a setting of the method that the student's function has too keeps its published value
        method = {name: start.get(name, value) for name, value in chosen.settings.items() if name not in taken}
        own = "lr" in chosen.settings or "optimizer" in given  # then the method or the user sets the optimiser
        training = {} if own else {name: start.get(name, usual[name]) for name in TRAINING}
        known = {**made, **training, **method}
        for named, words in ((asked, "'space' has ranges"), (start, "'start' has values")):
            wrong = sorted(named.keys() - known.keys())
            if wrong:
                raise ValueError(f"{words} of what is not searched, {wrong}: it may have {sorted(known)}")
        ranges = {"dropout": DROPOUT} if "dropout" in made else {}
        ranges |= {**_around(training), **_around(method)}
        ranges |= {name: known for name, known in chosen.ranges.items() if name in method}
        ranges |= {name: _checked(name, value) for name, value in asked.items()}
        self.ranges: dict[str, Any] = {name: ranges[name] for name in known if name in ranges}
        method = {name: value for name, value in method.items() if name in self.ranges or name in start}
        self.first = Setting(method, training, made, usual=not start.keys() & training.keys())

    def draw(self, trial: Any, *, near: bool = False) -> dict[str, Any]:
        """Draw a value of every range by an optuna trial; near: logarithmic ones within a factor of 5 of the start."""
        first = self.first.values
        ranges = {name: _near(first[name], known) if near else known for name, known in self.ranges.items()}
        return {name: _drawn(trial, name, known) for name, known in ranges.items()}

    def start(self) -> dict[str, Any]:
        """Return the first trial's values, or the nearest ones in range, in the form that optuna takes."""
        values = self.first.values
        return {name: _nearest(values[name], known) for name, known in self.ranges.items()}

    def setting(self, number: int, values: Mapping[str, Any]) -> Setting:
        """Return the setting of a trial; that of the first one is exactly where the search starts."""
        if number == 0:
            return self.first
        parts = (self.first.method, self.first.training, self.first.student)
        method, training, student = ({name: values.get(name, part[name]) for name in part} for part in parts)
        return Setting(method, training, {name: values.get(name, student[name]) for name in student})


def _around(values: Mapping[str, Any]) -> dict[str, Any]:
    """Make ranges: a factor of 30 to both sides of numbers above 0; small numbers for a weight decay of 0."""
    numbers = {name: value for name, value in values.items() if isinstance(value, float) and value > 0}
    found = {name: (value / SPAN, value * SPAN) for name, value in numbers.items()}
    return {**({"weight_decay": NO_DECAY} if "weight_decay" in values else {}), **found}


def _of_factory(student: Any, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Collect the parameters of a student's function that are searched, and their first values; a module has none."""
    if student is None or isinstance(student, torch.nn.Module):
        return {}
    found: dict[str, Any] = {}
    for name, parameter in inspect.signature(student).parameters.items():
        default = parameter.default
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        if default is not parameter.empty and (name in asked or name == "dropout"):
            found[name] = default
        elif default is parameter.empty and name in asked:
            found[name] = asked[name][0]
        elif default is parameter.empty:
            if name != "dropout":
                raise TypeError(
                    f"'student' must be a function of 'dropout', of nothing, or of what 'space' has ranges of, it asks "
                    f"for {name!r}: give space={{{name!r}: (low, high)}} or a list of choices"
                )
            found[name] = USUAL_DROPOUT
    return found


def _checked(name: str, known: Any) -> Any:
    """Check a range or choices and return them; TypeError or ValueError for what is neither."""
    if isinstance(known, list) and known:
        wrong = [value for value in known if not (value is None or isinstance(value, (bool, int, float, str)))]
        if wrong:
            raise TypeError(f"choices of {name!r} must be numbers, text, true or false, got {wrong[0]!r}")
        return known
    if not isinstance(known, tuple) or len(known) != 2:
        raise TypeError(f"'space' must have (low, high) or a list of choices for {name!r}, got {known!r}")
    low, high = known
    if not finite_number(name, low) < finite_number(name, high):
        raise ValueError(f"the range of {name!r} must have its low end below its high end, got {known}")
    return known


def _drawn(trial: Any, name: str, known: Any) -> Any:
    if isinstance(known, list):
        return trial.suggest_categorical(name, known)
    low, high = known
    if isinstance(low, int) and isinstance(high, int):
        return trial.suggest_int(name, low, high, log=low > 0)
    return trial.suggest_float(name, low, high, log=low > 0)


def _near(value: Any, known: Any) -> Any:
    """Cut a logarithmic range to what is near a value; choices, other ranges and that of 0 or none stay whole."""
    if isinstance(known, list) or known[0] <= 0 or not value:
        return known
    low, high = known
    value = _nearest(value, known)
    least, most = value / NEAR, value * NEAR
    if isinstance(low, int) and isinstance(high, int):
        least, most = min(round(least), value - 1), max(round(most), value + 1)
    return max(low, least), min(high, most)


def _nearest(value: Any, known: Any) -> Any:
    if isinstance(known, list):
        return value if value in known else known[0]
    low, high = known
    return low if value is None else min(max(value, low), high)
