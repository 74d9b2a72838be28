"""CausE: items are pulled to the copies that uniform ratings train."""

from __future__ import annotations

from torch import nn

from graphkd.core.method import method
from recsys.losses.cause import CausalPull
from recsys.losses.rating_error import RatingError
from recsys.methods._uniform import UniformProblem


@method(
    "cause",
    family="uniform",
    paper="Bonner and Vasile, RecSys 2018",
    arxiv="1706.07639",
    tasks=("uniform_ratings",),
    teacher=False,
)
def cause_method(problem: UniformProblem, *, weight: float = 1e-3) -> nn.Module:
    """Pull items to copies that uniform ratings train; choose it for factorisations of one model for both samples.

    The student must be a ``BiasedMF`` with ``copies=True``.
    """
    problem.need(rows=False)
    if not getattr(problem.student, "copies", False):
        raise ValueError("'cause' trains copies of the items: give 'student' as BiasedMF(..., copies=True)")
    batches = problem.batches(uniform=True, how="copies", num_items=problem.data.num_items)
    return problem.learn(RatingError() + weight * CausalPull(), batches)
