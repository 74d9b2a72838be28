"""Students that read features alone: the user's own, or the published MLP."""

from __future__ import annotations

from torch import nn
from torch_geometric.nn import MLP

from graphkd.core.problem import Problem


def student_or_mlp(
    problem: Problem,
    given: tuple[int | None, int | None, float | None],
    published: tuple[int, int, float],
) -> nn.Module:
    """Take the student that was given; where there is none, make an MLP of (layers, width, dropout).

    given: what the user asks of the MLP, None for the published value; ValueError where it would have no effect.
    layers: hidden ones.
    """
    if problem.student is not None:
        if any(value is not None for value in given):
            raise ValueError(
                "'layers', 'width' and 'dropout' shape the MLP that is made where no student is given, got "
                f"{given} and a student, {type(problem.student).__name__}: give student=None, or leave them out"
            )
        student: nn.Module = problem.student
        return student
    layers, width, dropout = (p if g is None else g for g, p in zip(given, published, strict=True))
    widths = [problem.features, *[int(width)] * int(layers), problem.classes]
    made: nn.Module = problem.made(lambda: MLP(widths, norm=None, dropout=dropout))
    return made
