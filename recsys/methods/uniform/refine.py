"""KDCRec's refined labels: ratings that the uniform model corrects."""

from __future__ import annotations

from torch import nn

from graphkd.core.method import method
from recsys.losses.refine import Refine
from recsys.methods._uniform import UniformProblem
from recsys.models.ratings import initialise


@method(
    "refine", family="uniform", paper="Liu et al., SIGIR 2020", survey=(190,), tasks=("uniform_ratings",), teacher=False
)
def refine_method(problem: UniformProblem, *, confidence: float = 0.2) -> nn.Module:
    """Correct the logged labels by the uniform model's outputs; choose it where labels themselves are biased.

    ``confidence`` times the teacher's outputs, scaled to [0, 1], is added to the labels. The student starts from a
    model of the logged ratings, which is trained in its own stage.
    """
    _ = problem.uniform  # trains the uniform model first, where none is given
    initialise(problem.student, problem.biased)
    return problem.learn(1.0 * Refine(confidence), taught=True)
