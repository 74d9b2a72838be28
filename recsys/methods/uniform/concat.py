"""KDCRec's concatenation: a student beside the frozen uniform model."""

from __future__ import annotations

from torch import nn

from graphkd.core.method import method
from recsys.methods._uniform import UniformProblem
from recsys.models.ratings import Concat


@method(
    "concat",
    family="uniform",
    paper="Liu et al., SIGIR 2020",
    survey=(190,),
    tasks=("uniform_ratings",),
    teacher=False,
    cannot={"ensemble": "a copy of the teacher is a part of what serves"},
)
def concat_method(problem: UniformProblem) -> nn.Module:
    """Train a student beside the frozen uniform model; choose it where what serves may be twice as large.

    The embeddings of both are concatenated, so that outputs are added; both models serve.
    """
    teacher = problem.teacher_to_train(problem.uniform)
    both = Concat(problem.student, teacher, call=problem.call_of(problem.student))
    served: nn.Module = problem.train(problem.distiller(both, None, problem.supervised()))
    return served
