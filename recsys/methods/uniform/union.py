"""KDCRec's union: both samples, the logged one counting less."""

from __future__ import annotations

from torch import nn

from graphkd.core.method import method
from recsys.losses.rating_error import RatingError
from recsys.methods._uniform import UniformProblem


@method(
    "union",
    family="uniform",
    paper="Liu et al., SIGIR 2020",
    survey=(190,),
    tasks=("uniform_ratings",),
    teacher=False,
    space={"confidence": (0.05, 1.0)},
)
def union_method(problem: UniformProblem, *, confidence: float = 0.5) -> nn.Module:
    """Train on both samples, logged ratings weighted by ``confidence``; choose it as the baseline without a teacher."""
    return problem.learn(1.0 * RatingError(confidence), problem.batches(uniform=True))
