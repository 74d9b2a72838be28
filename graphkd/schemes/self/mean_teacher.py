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
    survey=(87,),
    tasks=("classes",),
    teacher=False,
    space={"ramp": (0.01, 1.0), "decay": (0.05, 0.999)},
)
def mean_teacher(problem: Problem, *, weight: float = 100.0, ramp: float = 0.27, decay: float = 0.5) -> nn.Module:
    """Train the student on labels and to agree with the moving average of its weights; choose it where labels are few.

    The loss is that of the labels plus ``weight`` times ``Consistency`` with the average (``EMA``) on all rows. The
    weight rises over the share ``ramp`` of training, since the average knows nothing at first. Weight and share are the
    authors' (100 beside the labelled rows' mean cross-entropy, 40,000 of 150,000 steps). Their averages reach back 100
    to 1,000 of these steps (``decay`` from 0.99 to 0.999), in proportion one step of 200. With 0.99 the average of a
    short run lags by half of it and holds the student back, so we chose 0.5 from 0.5, 0.9 and 0.99 on validation nodes
    of Cora; use more for longer runs. The authors perturb the inputs of both sides; here only the student's dropout
    makes them differ. The student is returned, the average is discarded. Costs one more forward pass per step.
    """
    student = problem.student
    teacher = EMA(student, decay, call=problem.call_of(student))
    return problem.train(problem.distiller(student, teacher, problem.supervised() + weight * Consistency(ramp)))
