"""KDCRec's alternating schedule: a start from the uniform model, then one side at a time."""

from __future__ import annotations

from torch import nn

from graphkd.core.method import method
from recsys.methods._uniform import UniformProblem
from recsys.methods.uniform._alternating import Alternating
from recsys.models.ratings import initialise


@method(
    "alter",
    family="uniform",
    paper="Liu et al., SIGIR 2020",
    survey=(190,),
    tasks=("uniform_ratings",),
    teacher=False,
    cannot={"ensemble": "it starts from the teacher's own tables"},
)
def alter_method(problem: UniformProblem, *, passes: int = 3) -> nn.Module:
    """Start from the uniform model's items and train one side at a time; choose it where ``init`` forgets its start.

    ``passes`` epochs train one side, users of factorisations or the decoder of autoencoders, then one epoch the other.
    The teacher must be of the student's kind and width.
    """
    initialise(problem.student, problem.uniform.model, ["item"])
    distiller = problem.distiller(problem.student, None, problem.supervised())
    served: nn.Module = problem.train(Alternating(distiller, "item" if problem.of_rows else "user", passes))
    return served
