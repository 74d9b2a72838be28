"""TSCL: a bandit that gives a student the tasks on which it learns most.

Matiisen, Oliver, Cohen and Schulman, "Teacher-Student Curriculum Learning", TNNLS 2019, arXiv:1707.00183.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from graphkd.core.view import Batch
from graphkd.losses._checks import check_positive

Policy = Callable[[Tensor], Tensor]


class Progress(Protocol):
    """How much is learnt on each task: ``values`` before a step, (K,); ``observe`` the scores after it, NaN if none."""

    def values(self) -> Tensor: ...  # noqa: D102

    def observe(self, scores: Tensor) -> None: ...  # noqa: D102


def slope(times: Sequence[float], scores: Sequence[float]) -> float:
    """Of the least-squares line; 1 with fewer than two points, as the authors' code has it: such tasks come first."""
    if len(scores) < 2:
        return 1.0
    t, s = (torch.tensor(list(values), dtype=torch.float64) for values in (times, scores))
    t = t - t.mean()
    return float((t @ (s - s.mean())) / (t @ t))


class _Differences:
    """Scores less the ones before; a task without a score keeps its last one and has a difference of 0."""

    def __init__(self, tasks: int) -> None:
        self.last = torch.zeros(tasks, dtype=torch.float64)

    def of(self, scores: Tensor) -> Tensor:
        scores = torch.where(scores.isnan(), self.last, scores.to(torch.float64))
        found, self.last = scores - self.last, scores
        return found


class OnlineProgress:
    """Q <- Q + rate (r - Q), r the change of the score; the first one is against 0."""

    def __init__(self, tasks: int, rate: float = 0.1) -> None:
        self.rate, self.q, self._changes = rate, torch.zeros(tasks, dtype=torch.float64), _Differences(tasks)

    def values(self) -> Tensor:
        """See ``Progress``."""
        return self.q

    def observe(self, scores: Tensor) -> None:
        """See ``Progress``."""
        self.q = self.q + self.rate * (self._changes.of(scores) - self.q)


class NaiveProgress:
    """The same with the slope of the scores over ``window`` steps as r, after every such window."""

    def __init__(self, tasks: int, rate: float = 0.1, window: int = 10) -> None:
        self.rate, self.window, self.q = rate, int(check_positive("window", window)), torch.zeros(tasks).double()
        self._scores: list[list[float]] = [[] for _ in range(tasks)]
        self._steps = 0

    def values(self) -> Tensor:
        """See ``Progress``."""
        return self.q

    def observe(self, scores: Tensor) -> None:
        """See ``Progress``."""
        for kept, score in zip(self._scores, scores.tolist(), strict=True):
            kept.extend([] if math.isnan(score) else [score])
        self._steps += 1
        if self._steps % self.window == 0:
            slopes = [slope(range(len(kept)), kept) for kept in self._scores]
            self.q = self.q + self.rate * (torch.tensor(slopes, dtype=torch.float64) - self.q)
            self._scores = [[] for _ in self._scores]


class WindowProgress:
    """The slope of the last ``window`` scores of a task over the steps at which it had them."""

    def __init__(self, tasks: int, window: int = 10) -> None:
        self._seen: list[deque[tuple[int, float]]] = [deque(maxlen=window) for _ in range(tasks)]
        self._steps = 0

    def values(self) -> Tensor:
        """See ``Progress``."""
        slopes = [slope([t for t, _ in seen], [s for _, s in seen]) for seen in self._seen]
        return torch.tensor(slopes, dtype=torch.float64)

    def observe(self, scores: Tensor) -> None:
        """See ``Progress``."""
        for seen, score in zip(self._seen, scores.tolist(), strict=True):
            if not math.isnan(score):
                seen.append((self._steps, score))
        self._steps += 1


class SamplingProgress:
    """The last ``window`` changes of the scores: their mean, or with ``thompson`` a random one of each task."""

    def __init__(self, tasks: int, window: int = 10, *, thompson: bool = False) -> None:
        self.thompson = thompson
        self._changes, self._kept = _Differences(tasks), deque[Tensor](maxlen=window)

    def values(self) -> Tensor:
        """See ``Progress``."""
        if not self._kept:
            return torch.ones_like(self._changes.last)
        kept = torch.stack(list(self._kept))
        if not self.thompson:
            return kept.mean(dim=0)
        return kept.gather(0, torch.randint(len(kept), (1, kept.size(1))))[0]

    def observe(self, scores: Tensor) -> None:
        """See ``Progress``."""
        self._kept.append(self._changes.of(scores))


def boltzmann(values: Tensor, temperature: float = 4e-4) -> Tensor:
    """Probabilities of tasks, softmax(values / temperature): (K,) -> (K,)."""
    return (values / check_positive("temperature", temperature)).softmax(dim=0)


def epsilon_greedy(values: Tensor, epsilon: float = 0.1) -> Tensor:
    """1 - epsilon for the best task, of equals a random one, and epsilon shared by all: (K,) -> (K,)."""
    best = (values == values.max()).nonzero()[:, 0]
    chosen = best[torch.randint(best.numel(), ())]
    return torch.full_like(values, epsilon / values.numel()).index_add(
        0, chosen[None], values.new_tensor([1 - epsilon])
    )


class Curriculum:
    """Batches for ``fit``, each epoch ``steps`` of them, of tasks drawn by how much the student learns on each.

    Choose it where tasks (classes, relations, domains, harder and easier nodes) are learnt one after the other and
    the order is unknown. tasks: a batch of each. score: () -> (K,), how good the student is on each now, higher is
    better, NaN where it was not measured. progress and policy: the authors advise ``SamplingProgress(thompson=True)``
    with ``epsilon_greedy``, the default. absolute: the size of a change counts, so that what is being forgotten is
    trained again; default True, as in the paper. Draws come from torch's generator, which ``fit`` seeds. What the
    bandit knows is not in checkpoints yet: a resumed run learns it anew.
    """

    def __init__(
        self,
        tasks: Sequence[Batch],
        score: Callable[[], Tensor],
        *,
        progress: Progress | None = None,
        policy: Policy = epsilon_greedy,
        absolute: bool = True,
        steps: int = 1,
    ) -> None:
        if not tasks:
            raise ValueError("'tasks' must hold one at least, got none")
        self.tasks, self.score, self.policy, self.absolute, self.steps = tasks, score, policy, absolute, steps
        self.progress = progress or SamplingProgress(len(tasks), thompson=True)
        self.probabilities = torch.full((len(tasks),), 1 / len(tasks), dtype=torch.float64)
        self._begun = False

    def __iter__(self) -> Iterator[Any]:
        if self._begun:
            with torch.no_grad():
                self.progress.observe(self.score().cpu())
        self._begun = True
        values = self.progress.values()
        self.probabilities = self.policy(values.abs() if self.absolute else values)
        for _ in range(self.steps):
            yield self.tasks[int(torch.multinomial(self.probabilities, 1))]
