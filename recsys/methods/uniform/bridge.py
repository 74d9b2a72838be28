"""KDCRec's bridge: agreement with the uniform model on random pairs."""

from __future__ import annotations

from torch import nn

from graphkd.core.method import method
from recsys.losses.bridge import Bridge
from recsys.losses.decay import Decay
from recsys.losses.rating_error import RatingError
from recsys.methods._uniform import UniformProblem
from recsys.models.ratings import initialise


@method(
    "bridge",
    family="uniform",
    paper="Liu et al., SIGIR 2020",
    survey=(190,),
    tasks=("uniform_ratings",),
    teacher=False,
    space={"weight": (1e-3, 1.0)},
)
def bridge_method(problem: UniformProblem, *, weight: float | None = None) -> nn.Module:
    """Agree with the uniform model on random pairs, observed or not; choose it first among KDCRec's methods.

    The student starts from a model of the logged ratings, which is trained in its own stage. weight: of the agreement,
    by default 0.1 for factorisations, whose random pairs also have an L2, and 0.01 for autoencoders.
    """
    teacher = problem.uniform
    initialise(problem.student, problem.biased)
    if problem.of_rows:
        losses = RatingError() + (0.01 if weight is None else weight) * Bridge()
        batches = problem.batches(sampled=True)
    else:
        random = Bridge(on="random") + problem.decay * Decay(on="random_decay")
        losses = RatingError() + (0.1 if weight is None else weight) * random
        batches = problem.batches(random=(problem.data.num_users, problem.data.num_items))
    served: nn.Module = problem.train(
        problem.distiller(problem.student, teacher, problem.decayed(losses)), data=batches
    )
    return served
