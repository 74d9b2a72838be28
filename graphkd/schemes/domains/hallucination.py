"""Hallucinated features of an input that is missing when the student serves (cross-modal).

Garcia, Morerio and Murino, "Modality Distillation with Multiple Stream Networks for Action Recognition", ECCV 2018,
arXiv:1806.07110.
"""

from __future__ import annotations

from torch import nn

from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.losses.features.fitnet import FitNet
from graphkd.schemes._together import Together


@method(
    "hallucination",
    family="domains",
    paper="Garcia, Morerio and Murino, ECCV 2018",
    arxiv="1806.07110",
    survey=(123,),
    needs=("hidden",),
    space={"share": (0.02, 0.98), "weight": (0.02, 0.98)},
)
def hallucination(problem: Problem, *, share: float = 0.5, weight: float = 0.5, temperature: float = 4.0) -> nn.Module:
    """Train a second stream that makes up the features of an input which the student lacks, and serve both streams.

    Choose it where the teacher's input is there in training and not when the student serves. The teacher is the stream
    of that input. First the student, the stream of its own input, learns the labels; then a hallucination stream of its
    kind, which sees the student's input, learns (1 - share) FitNet + share ((1 - weight) labels + weight soft targets)
    of the teacher, generalised distillation; last both learn the labels together, through their mean probability, which
    is what serves: ``Together``, twice a student. Models are called by the names of their inputs in the batch, which
    may differ. The paper's numbers are unknown to us, and so are these; its distance has a sigmoid, ours a linear map,
    and its teacher first learns beside the student. Costs three trainings.
    """
    for name, value in (("share", share), ("weight", weight)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name!r} must be in [0, 1], got {value}")
    own, other = problem.student, problem.fresh_student(1)
    own = problem.train(problem.distiller(own, None, problem.supervised()), "own")
    answers = (1 - weight) * problem.supervised() + weight * problem.soft(temperature)
    learnt = (1 - share) * FitNet(problem.width_of(other), problem.width_of(problem.teacher)) + share * answers
    other = problem.train(problem.distiller(other, problem.teacher, learnt), "hallucination")
    return problem.train(problem.distiller(Together([own, other]), None, problem.supervised()), "fused")
