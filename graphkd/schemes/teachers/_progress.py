"""Learning progress of a student on several tasks, by which the bandit of ``tscl`` chooses among them."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from graphkd.losses._checks import check_positive


class Progress(ABC):
    """Learning progress on each task: read ``values`` before a step, (K,), and ``observe`` the scores after it.

    A score is NaN where it was not measured. changing: names of the attributes in ``state_dict``.
    """

    changing: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def values(self) -> Tensor:
        """Return the current learning progress on each task, (K,)."""

    @abstractmethod
    def observe(self, scores: Tensor) -> None:
        """Record the scores after a step, (K,)."""

    def state_dict(self) -> dict[str, Any]:
        """Return the observations."""
        return {name: copy.deepcopy(getattr(self, name)) for name in self.changing}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where ``state_dict`` left off."""
        for name in self.changing:
            setattr(self, name, copy.deepcopy(state[name]))


def slope(times: Sequence[float], scores: Sequence[float]) -> float:
    """Fit a line's slope by least squares; 1 below two points, as in the authors' code: such tasks come first."""
    if len(scores) < 2:
        return 1.0
    t, s = (torch.tensor(list(values), dtype=torch.float64) for values in (times, scores))
    t = t - t.mean()
    return float((t @ (s - s.mean())) / (t @ t))


def _known(scores: Tensor, last: Tensor) -> Tensor:
    """Replace missing scores by the previous ones, so that such tasks have not changed."""
    return torch.where(scores.isnan(), last, scores.to(torch.float64))


class OnlineProgress(Progress):
    """Q <- Q + rate (r - Q), r the change of the score; the first change is from 0."""

    changing: ClassVar[tuple[str, ...]] = ("q", "last")

    def __init__(self, tasks: int, rate: float = 0.1) -> None:
        self.rate, self.q, self.last = rate, torch.zeros(tasks).double(), torch.zeros(tasks).double()

    def values(self) -> Tensor:
        """See ``Progress``."""
        return self.q

    def observe(self, scores: Tensor) -> None:
        """See ``Progress``."""
        scores = _known(scores, self.last)
        self.q = self.q + self.rate * (scores - self.last - self.q)
        self.last = scores


class NaiveProgress(OnlineProgress):
    """``OnlineProgress`` with r the slope of the scores over ``window`` steps, updated after every such window."""

    changing = ("q", "scores", "steps")

    def __init__(self, tasks: int, rate: float = 0.1, window: int = 10) -> None:
        super().__init__(tasks, rate)
        self.window, self.steps = int(check_positive("window", window)), 0
        self.scores: list[list[float]] = [[] for _ in range(tasks)]

    def observe(self, scores: Tensor) -> None:
        """See ``Progress``."""
        for kept, score in zip(self.scores, scores.tolist(), strict=True):
            kept.extend([] if math.isnan(score) else [score])
        self.steps += 1
        if self.steps % self.window == 0:
            slopes = [slope(range(len(kept)), kept) for kept in self.scores]
            self.q = self.q + self.rate * (torch.tensor(slopes, dtype=torch.float64) - self.q)
            self.scores = [[] for _ in self.scores]


class WindowProgress(Progress):
    """The slope of a task's last ``window`` scores over the steps at which they were measured."""

    changing = ("seen", "steps")

    def __init__(self, tasks: int, window: int = 10) -> None:
        self.window, self.steps = int(check_positive("window", window)), 0
        self.seen: list[list[tuple[int, float]]] = [[] for _ in range(tasks)]  # step and score

    def values(self) -> Tensor:
        """See ``Progress``."""
        slopes = [slope([t for t, _ in seen], [s for _, s in seen]) for seen in self.seen]
        return torch.tensor(slopes, dtype=torch.float64)

    def observe(self, scores: Tensor) -> None:
        """See ``Progress``."""
        for place, score in enumerate(scores.tolist()):
            if not math.isnan(score):
                self.seen[place] = [*self.seen[place], (self.steps, score)][-self.window :]
        self.steps += 1


class SamplingProgress(Progress):
    """The mean of each task's last ``window`` changes of score, or with ``thompson`` a random one of them."""

    changing = ("last", "changes")

    def __init__(self, tasks: int, window: int = 10, *, thompson: bool = False) -> None:
        self.window, self.thompson = int(check_positive("window", window)), thompson
        self.last, self.changes = torch.zeros(tasks).double(), torch.zeros(0, tasks).double()

    def values(self) -> Tensor:
        """See ``Progress``."""
        if not self.changes.size(0):
            return torch.ones_like(self.last)
        if not self.thompson:
            return self.changes.mean(dim=0)
        return self.changes.gather(0, torch.randint(self.changes.size(0), (1, self.changes.size(1))))[0]

    def observe(self, scores: Tensor) -> None:
        """See ``Progress``."""
        scores = _known(scores, self.last)
        self.changes = torch.cat([self.changes, (scores - self.last)[None]])[-self.window :]
        self.last = scores
