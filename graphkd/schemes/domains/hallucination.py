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

    Choose it where the teacher's input is available in training but not at serving time. First the student learns the
    labels from its own input. Then a second stream of the same architecture and input, the hallucination, learns (1 -
    share) FitNet + share ((1 - weight) labels + weight soft targets) from the teacher (generalised distillation). Last,
    both learn the labels through their mean probability; the result is their ``Together``, twice as large as a student.
    Models are called by the names of their inputs in the batch, which may differ. We do not know the paper's weights
    and chose these; its distance has a sigmoid, ours a linear map, and its teacher first learns beside the student.
    Costs three trainings. Raises ValueError for a ``share`` or ``weight`` outside [0, 1].
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
