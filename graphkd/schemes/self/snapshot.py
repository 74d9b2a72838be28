"""Snapshot distillation: a student that learns from what it was some epochs ago."""

from __future__ import annotations

from torch import nn

from graphkd.core.method import method
from graphkd.core.moving import Snapshot
from graphkd.core.problem import Problem


@method("snapshot", family="self", paper="Yang et al., CVPR 2019", arxiv="1812.00123", tasks=("rows",), teacher=False)
def snapshot(problem: Problem, *, weight: float = 1.0, temperature: float = 2.0, every: int = 25) -> nn.Module:
    """Train the student on labels and on its own answers of some epochs ago; choose it if time allows one training.

    It replaces born-again generations (``ban``). The loss is that of the labels plus ``weight`` times that of soft
    targets, which are the student's own answers at the end of the last cycle of ``every`` epochs, see
    ``graphkd.Snapshot``. The authors' learning rate falls and rises with this cycle; for that give ``optimizer``. Costs
    one more forward pass per step.
    """
    student = problem.student
    teacher = Snapshot(student, every, call=problem.call_of(student))
    losses = problem.supervised() + weight * problem.soft(temperature)
    return problem.train(problem.distiller(student, teacher, losses))
