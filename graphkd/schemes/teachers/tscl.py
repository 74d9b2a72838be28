"""TSCL: a bandit that chooses the tasks on which a student learns most.

Matiisen, Oliver, Cohen and Schulman, "Teacher-Student Curriculum Learning", TNNLS 2019, arXiv:1707.00183.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.batches import batches
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.losses._checks import check_positive
from graphkd.schemes.teachers._progress import Progress, SamplingProgress

Policy = Callable[[Tensor], Tensor]


def boltzmann(values: Tensor, temperature: float = 4e-4) -> Tensor:
    """Give tasks the probabilities softmax(values / temperature): (K,) -> (K,)."""
    return (values / check_positive("temperature", temperature)).softmax(dim=0)


def epsilon_greedy(values: Tensor, epsilon: float = 0.1) -> Tensor:
    """Give 1 - epsilon to the best task (a random one of equals), and epsilon to all in equal parts: (K,) -> (K,)."""
    best = (values == values.max()).nonzero()[:, 0]
    chances = torch.full_like(values, epsilon / values.numel())
    chances[best[torch.randint(best.numel(), ())]] += 1 - epsilon
    return chances


class Curriculum:
    """Batches for ``fit``: each epoch those of ``steps`` tasks, drawn by how much the student learns on each.

    Tasks may be classes, relations, domains, harder and easier nodes. tasks: one batch or loader per task. score: () ->
    (K,), the student's current score on each, higher is better, NaN where it was not measured; called once per epoch.
    progress: computes the learning progress, (K,), from the scores; policy: progress -> probabilities of the tasks,
    (K,). The authors advise ``SamplingProgress(thompson=True)`` with ``epsilon_greedy``, the default. absolute:
    progress counts by its absolute value, as in the paper, so that forgotten tasks are trained again. Draws come from
    torch's generator, which ``fit`` seeds. The bandit's state is in the checkpoints of ``fit``. Raises ValueError
    without tasks.
    """

    def __init__(
        self,
        tasks: Sequence[Any],
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
            yield from batches(self.tasks[int(torch.multinomial(self.probabilities, 1))])

    def set_epoch(self, epoch: int, epochs: int) -> None:
        """Pass the epoch on to those tasks that have ``set_epoch``."""
        for task in self.tasks:
            tell = getattr(task, "set_epoch", None)
            if tell is not None:
                tell(epoch, epochs)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the bandit and of the tasks' loaders."""
        known = {"progress": self.progress.state_dict(), "probabilities": self.probabilities, "begun": self._begun}
        return {**known, "tasks": [task.state_dict() for task in self._stateful()]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where ``state_dict`` left off."""
        self.progress.load_state_dict(state["progress"])
        self.probabilities, self._begun = state["probabilities"], state["begun"]
        for task, known in zip(self._stateful(), state["tasks"], strict=True):
            task.load_state_dict(known)

    def _stateful(self) -> list[Any]:
        return [task for task in self.tasks if hasattr(task, "state_dict")]


@method(
    "tscl",
    family="teachers",
    paper="Matiisen et al., TNNLS 2019",
    arxiv="1707.00183",
    survey=(8,),
    space={"epsilon": (0.003, 0.9)},
)
def tscl(
    problem: Problem,
    *,
    parts: Tensor | None = None,
    count: int = 4,
    temperature: float = 1.0,
    epsilon: float = 0.1,
    window: int = 10,
    steps: int = 1,
) -> nn.Module:
    """Match soft targets on the part of the nodes on which the student learns most, chosen anew every epoch.

    Choose it where some nodes can only be learnt after others and the order is unknown; labels are not needed. parts:
    (N,), each node's task, from 0; by default ``count`` tasks of equal size by the teacher's certainty. The student's
    score on a task is its agreement with the teacher there. A bandit stores the last ``window`` changes of each task's
    score, draws one of each by Thompson sampling, and chooses the task of the largest change, or a random one in
    ``epsilon`` of the cases. An epoch has ``steps`` such tasks. See ``Curriculum``. Costs one more forward pass of the
    student per epoch.
    """
    answers = problem.view_of(problem.teacher)
    if parts is None:
        parts = problem.once("parts", lambda: _by_certainty(answers, count))
    tasks = int(parts.max()) + 1
    parts, agreed = parts.cpu(), answers.argmax(dim=1).cpu()

    def score() -> Tensor:
        agree = (problem.view_of(problem.student).argmax(dim=1).cpu() == agreed).double()
        return torch.stack([agree[parts == task].mean() for task in range(tasks)])

    data = [problem.with_values(task=parts == task) for task in range(tasks)]
    progress, policy = SamplingProgress(tasks, window, thompson=True), partial(epsilon_greedy, epsilon=epsilon)
    source = Curriculum(data, score, progress=progress, policy=policy, steps=steps)
    task = problem.distiller(problem.student, problem.teacher, problem.soft(temperature, where="task"))
    return problem.train(task, data=source)


def _by_certainty(answers: Tensor, count: int) -> Tensor:
    """Number parts of equal size, from the least certain rows to the most: (N, C) -> (N,)."""
    place = answers.softmax(dim=1).amax(dim=1).argsort().argsort()
    return place * count // place.numel()
