"""KDCRec's learned weights: both samples, with a confidence for every logged rating."""

from __future__ import annotations

from torch import nn

from graphkd.core.method import method
from recsys.losses.rating_error import LearnedConfidence
from recsys.methods._uniform import UniformProblem


@method(
    "learned",
    family="uniform",
    paper="Liu et al., SIGIR 2020",
    survey=(190,),
    tasks=("uniform_ratings",),
    teacher=False,
    space={"start": (0.05, 1.0)},
)
def learned_method(problem: UniformProblem, *, start: float = 0.3) -> nn.Module:
    """Train on both samples with a confidence for every logged rating; choose it where some logs are noise.

    Confidences begin at ``start`` and can only fall, which is the method. They take one number a rating for
    factorisations, and a table of all pairs for autoencoders.
    """
    batches = problem.batches(uniform=True)
    shape = batches.rows.shape if problem.of_rows else (len(batches.logged),)
    return problem.learn(1.0 * LearnedConfidence(*shape, start=start), batches)
