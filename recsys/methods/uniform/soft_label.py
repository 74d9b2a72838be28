"""KDCRec's soft labels: the uniform model's distribution over items."""

from __future__ import annotations

from torch import nn

from graphkd.core.method import method
from recsys.losses.rating_error import RatingError
from recsys.losses.soft_labels import SoftLabels
from recsys.methods._uniform import UniformProblem


@method(
    "soft_label",
    family="uniform",
    paper="Liu et al., SIGIR 2020",
    survey=(190,),
    tasks=("uniform_ratings",),
    teacher=False,
    space={"confidence": (0.01, 0.9)},
)
def soft_label_method(problem: UniformProblem, *, confidence: float = 0.2, temperature: float = 5.0) -> nn.Module:
    """Match the uniform model's distribution over items; choose it for autoencoders that are to rank.

    The loss is ``confidence`` times the mean squared difference of the distributions, softened by ``temperature``, plus
    1 - ``confidence`` times the error of the ratings.
    """
    problem.need(rows=True)
    return problem.learn(confidence * SoftLabels(temperature) + (1 - confidence) * RatingError(), taught=True)
