"""Two click tasks on one bottom: the baseline of cross-task distillation."""

from __future__ import annotations

from torch import Tensor, nn

from graphkd.core.method import method
from recsys.methods._clicks import ClickProblem
from recsys.methods.clicks._two_tasks import learn_two


@method(
    "multitask",
    family="clicks",
    paper="Caruana, Machine Learning 1997",
    tasks=("clicks",),
    needs=("second",),
    teacher=False,
)
def two_tasks(problem: ClickProblem, *, second: Tensor | str) -> nn.Module:
    """Train the student on two tasks that share its layers; choose it to know what CrossDistil adds.

    second: labels of the second task, (N,), or the name of their column; the head of the first task serves.
    """
    return learn_two(problem, second, problem.supervised())
