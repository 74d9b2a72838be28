"""Self-distillation towards subclasses that the student finds in its own features (OSKD)."""

from __future__ import annotations

from torch import nn

from graphkd.core.method import method
from graphkd.core.moving import EMA
from graphkd.core.problem import Problem
from graphkd.losses.features.oskd import OSKD


@method(
    "oskd",
    family="self",
    paper="Tzelepi et al., ESWA 2021",
    survey=(148,),
    tasks=("classes",),
    needs=("hidden",),
    teacher=False,
    space={"decay": (0.01, 0.999)},
)
def oskd(problem: Problem, *, weight: float = 0.1, k: int = 5, margin: float = 1.0, decay: float = 0.0) -> nn.Module:
    """Train the student on labels and to draw each node's features to near ones of its class.

    Choose it where classes have subclasses and there is no teacher. The loss is that of the labels plus ``weight``
    times ``OSKD`` (``k``, ``margin``) on labelled rows. Its teacher is the student itself in the same step, in eval
    mode, or with ``decay`` above 0 the student's moving average. Costs one more forward pass per step, and O(N^2 d)
    time and memory for N labelled rows.
    """
    student = problem.student
    teacher = EMA(student, decay, call=problem.call_of(student))
    losses = problem.supervised() + weight * OSKD(k, margin=margin, where=problem.labelled)
    return problem.train(problem.distiller(student, teacher, losses))
