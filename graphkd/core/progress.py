"""Progress of a training: its part of a checkpoint, and its display."""

from __future__ import annotations

import copy
import math
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from torch import Tensor, nn
from tqdm import tqdm

from graphkd.core.wrappers import plain_state

_PATIENT = 10.0  # seconds of training before the first line is printed


@dataclass
class Progress:
    """Progress of a run: what a checkpoint holds besides weights, optimiser and generators."""

    seed: int
    epoch: int = 0
    bests: dict[str, float] = field(default_factory=dict)  # of each metric
    measured_epoch: int = 0  # the last epoch with a metric
    fresh_epoch: int = 0  # the epoch of the latest best of any metric
    best_epoch: int = 0  # that of the first metric
    best_state: dict[str, Tensor] = field(default_factory=dict)
    best_served: dict[str, Tensor] = field(default_factory=dict)  # of what serves, where that is not the student

    def stale(self, patience: int | None) -> bool:
        """Tell whether no metric has improved in the last ``patience`` epochs."""
        return patience is not None and bool(self.bests) and self.measured_epoch - self.fresh_epoch >= patience

    def note(self, values: dict[str, float], student: nn.Module, served: nn.Module) -> None:
        """Record the metrics that are at least as good as their best so far, and the state of a new best epoch."""
        self.measured_epoch = self.epoch
        better = [name for name, value in values.items() if value >= self.bests.get(name, -math.inf)]
        self.bests |= {name: values[name] for name in better}
        if better:
            self.fresh_epoch = self.epoch
        if next(iter(values)) in better:
            self.best_epoch = self.epoch
            self.best_state = _copied(student)
            self.best_served = {} if served is student else _copied(served)

    def forget_bests(self) -> None:
        """Restart the search for the best epoch, since the metric has changed."""
        self.bests, self.best_state, self.best_served = {}, {}, {}


def _copied(model: nn.Module) -> dict[str, Any]:
    """Copy a state, so that it stays unchanged while the model trains on."""
    state = plain_state(model)
    return {name: v.clone() if type(v) is Tensor else copy.deepcopy(v) for name, v in state.items()}


class Shown:
    """Progress bar over epochs on a terminal; elsewhere a line on stderr for every tenth of a long run.

    shown: False shows nothing, True the bar everywhere, None the bar or the lines.
    """

    def __init__(self, epochs: int, done: int, shown: bool | None, title: str | None) -> None:
        self.epochs, self.done, self.title = epochs, done, title or "training"
        on_terminal = sys.stderr.isatty()
        self._bar = tqdm(
            total=epochs,
            initial=done,
            disable=not (on_terminal if shown is None else shown),
            mininterval=0.5,
            unit="epoch",
            desc=title,
        )
        self._lines = shown is None and not on_terminal
        self._started, self._tenth = time.monotonic(), 10 * done // max(epochs, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bar.close()

    def update(self, report: Mapping[str, float]) -> None:
        """Show one more epoch, and its report."""
        self.done += 1
        if not self._bar.disable:
            self._bar.set_postfix(report, refresh=False)
            self._bar.update()
        tenth = 10 * self.done // max(self.epochs, 1)
        if self._lines and tenth > self._tenth and time.monotonic() - self._started > _PATIENT:
            values = ", ".join(f"{name} {value:.4g}" for name, value in report.items())
            print(f"{self.title}: epoch {self.done} of {self.epochs}, {values}", file=sys.stderr, flush=True)  # noqa: T201
        self._tenth = tenth
