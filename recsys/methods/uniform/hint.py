"""KDCRec's hint: an autoencoder's code is that of the uniform model."""

from __future__ import annotations

from torch import nn

from graphkd.core.method import method
from graphkd.losses.features.fitnet import FitNet
from recsys.losses.rating_error import RatingError
from recsys.methods._uniform import UniformProblem


@method(
    "hint",
    family="uniform",
    paper="Liu et al., SIGIR 2020",
    survey=(190,),
    tasks=("uniform_ratings",),
    teacher=False,
    space={"confidence": (0.01, 0.9)},
)
def hint_method(problem: UniformProblem, *, confidence: float = 0.2) -> nn.Module:
    """Match the code of an autoencoder to the uniform model's; choose it for deep autoencoders.

    The loss is ``confidence`` times the mean squared difference of codes, plus 1 - ``confidence`` times the error of
    the ratings. Codes must have the same width.
    """
    problem.need(rows=True)
    return problem.learn(confidence * FitNet(on="code") + (1 - confidence) * RatingError(), taught=True)
