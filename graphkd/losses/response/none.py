"""The student alone, the baseline of every method."""

from graphkd.core.loss import Loss
from graphkd.core.method import method
from graphkd.core.problem import Problem


@method(
    "none",
    family="response",
    tasks=("rows",),
    teacher=False,
)
def none_method(problem: Problem) -> Loss:
    """Train the student on its labels alone; choose it to know what a method gains."""
    return problem.supervised()
