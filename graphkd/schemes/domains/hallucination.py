"""Features of an input that is missing when the student serves (cross-modal).

Garcia, Morerio and Murino, "Modality Distillation with Multiple Stream Networks for Action Recognition", ECCV 2018,
arXiv:1806.07110.
"""

from __future__ import annotations

from graphkd.core.loss import Loss
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.losses.features.fitnet import FitNet


@method(
    "hallucination",
    family="domains",
    paper="Garcia, Morerio and Murino, ECCV 2018",
    arxiv="1806.07110",
    needs=("hidden",),
    space={"share": (0.02, 0.98), "weight": (0.02, 0.98)},
)
def hallucination(problem: Problem, *, share: float = 0.5, weight: float = 0.5, temperature: float = 4.0) -> Loss:
    """Make up the features of an input that the student lacks, beside labels and answers.

    Choose it where the teacher's input is there in training and not when the student serves:
    (1 - share) FitNet + share ((1 - weight) labels + weight soft targets), generalised distillation. Both models are
    called by the names of their inputs in the batch, which may differ. The paper's numbers are unknown to us, and so
    are these; its distance has a sigmoid, ours a linear map.
    """
    for name, value in (("share", share), ("weight", weight)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name!r} must be in [0, 1], got {value}")
    answers = (1 - weight) * problem.supervised() + weight * problem.soft(temperature)
    return (1 - share) * FitNet(*problem.widths) + share * answers
