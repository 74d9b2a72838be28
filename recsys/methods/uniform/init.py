"""KDCRec's feature-based start: items begin where the uniform model's are."""

from __future__ import annotations

from torch import nn

from graphkd.core.method import method
from recsys.losses.rating_error import RatingError
from recsys.methods._uniform import UniformProblem
from recsys.models.ratings import initialise


@method(
    "init",
    family="uniform",
    paper="Liu et al., SIGIR 2020",
    survey=(190,),
    tasks=("uniform_ratings",),
    teacher=False,
    cannot={"ensemble": "it starts from the teacher's own tables"},
)
def init_method(problem: UniformProblem) -> nn.Module:
    """Start the student's items where the uniform model's are; choose it where nothing may be added to the training.

    The teacher must be of the student's kind and width.
    """
    initialise(problem.student, problem.uniform.model, ["item"])
    return problem.learn(1.0 * RatingError())
