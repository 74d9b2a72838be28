"""Mean Teacher: a student that agrees with the moving average of its weights."""

from __future__ import annotations

from torch import nn

from graphkd.core.method import method
from graphkd.core.moving import EMA
from graphkd.core.problem import Problem
from graphkd.losses.response.consistency import Consistency


@method(
    "mean_teacher",
    family="self",
    paper="Tarvainen and Valpola, NeurIPS 2017",
    arxiv="1703.01780",
    teacher=False,
    space={"decay": (0.5, 0.9999)},
)
def mean_teacher(problem: Problem, *, weight: float = 100.0, warm_up: int = 5, decay: float = 0.99) -> nn.Module:
    """Train the student on labels and to agree with the moving average of its weights; choose it where labels are few.

    The labels' loss plus ``weight`` times ``Consistency`` with ``EMA``, on all rows, rising over ``warm_up`` epochs:
    before, the average knows nothing. The authors perturb what both sides see; here dropout, the student's, is all that
    tells them apart. The student is kept, the average is not. Costs a forward pass a step beside the student's.
    """
    student = problem.student
    teacher = EMA(student, decay, call=problem.call_of(student))
    return problem.train(problem.distiller(student, teacher, problem.supervised() + weight * Consistency(warm_up)))
