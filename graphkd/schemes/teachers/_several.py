"""Shared code of the methods of several teachers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from torch import Tensor

from graphkd.core.batches import Mapped
from graphkd.core.ensemble import Combine, Ensemble
from graphkd.core.loss import Loss
from graphkd.core.problem import Problem
from graphkd.core.teachers import Frozen, ask
from graphkd.core.view import Batch, View


class Expanded(Mapped):
    """Data whose batches a function turns into ``count`` batches each, which follow one another."""

    def __init__(self, data: Batch | Iterable[Batch], function: Callable[[Any], Iterable[Any]], count: int) -> None:
        super().__init__(data, function)
        self.count = count

    def __iter__(self) -> Iterator[Any]:
        for several in super().__iter__():
            yield from several

    def __len__(self) -> int:
        return self.count * super().__len__()


def tapped(problem: Problem, combine: Combine) -> Ensemble:
    """Make an ensemble of all teachers, with each one's own hidden layer tapped."""
    paths = [problem.path_of(teacher) for teacher in problem.teachers]
    return Ensemble(problem.teachers, combine, taps=[{} if path is None else {"hidden": path} for path in paths])


def compared(
    loss: Loss, view: View, batch: Batch, teacher: Frozen | None = None, taps: Mapping[str, str] | None = None
) -> Tensor:
    """Evaluate a loss, or a weighted sum of losses, against a teacher if it needs one; 0 where no row was chosen.

    taps: of the teacher.
    """
    shown = None if teacher is None else ask(teacher, batch, taps)
    total = 0.0 * view["logits"].sum()
    for weight, part in loss.parts():
        digest = None if teacher is None or shown is None else teacher.digest(part, shown, batch)
        value = part.measure(view, digest, batch)
        total = total if value is None else total + weight * value
    return total
