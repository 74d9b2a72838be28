"""The student alone."""

from __future__ import annotations

from graphkd.core.loss import Loss
from graphkd.core.method import method
from recsys.methods._problem import RecommenderProblem


@method("none", family="response", tasks=("ranking", "clicks", "uniform_ratings", "sequential"), teacher=False)
def none(problem: RecommenderProblem) -> Loss:
    """Train the student on its labels alone; choose it to know what a method gains.

    Rankings are trained by BPR, RecBole models by their own loss; clicks by cross-entropy, ratings by the squared
    error.
    """
    return problem.supervised()
