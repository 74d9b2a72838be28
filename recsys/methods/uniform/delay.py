"""KDCRec's delay: uniform batches, or epochs, in between."""

from __future__ import annotations

from torch import nn

from graphkd.core.method import method
from recsys.losses.rating_error import RatingError
from recsys.methods._uniform import UniformProblem


@method(
    "delay", family="uniform", paper="Liu et al., SIGIR 2020", survey=(190,), tasks=("uniform_ratings",), teacher=False
)
def delay_method(problem: UniformProblem, *, step: int | None = None) -> nn.Module:
    """Put uniform ratings between the logged ones; choose it where the uniform sample is too small for a model.

    step: distance from one uniform batch of a factorisation to the next, by default 20 batches, or from one uniform
    epoch of an autoencoder to the next, by default 3 epochs.
    """
    step = (3 if problem.of_rows else 20) if step is None else step
    return problem.learn(1.0 * RatingError(), problem.batches(uniform=True, how="delay", step=step))
