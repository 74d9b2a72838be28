"""Function matching: student and teacher see the same changed batch, at every step another.

Beyer, Zhai, Royer, Markeeva, Anil and Kolesnikov, "Knowledge distillation: A good teacher is patient and consistent",
CVPR 2022, arXiv:2106.05237.
"""

from __future__ import annotations

from torch import nn

from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.schemes.augment import Change, Changed, asked_anew, noise_of


@method(
    "function_matching",
    family="semi",
    paper="Beyer et al., CVPR 2022",
    arxiv="2106.05237",
    survey=(33, 34),
    tasks=("rows",),
    space={"rate": (0.007, 0.9)},
)
def function_matching(
    problem: Problem, *, temperature: float = 1.0, rate: float = 0.2, noise: Change | None = None
) -> nn.Module:
    """Match the teacher's answers about batches that are changed anew at every step, the same for both.

    Choose it where there is time for very many epochs and rows are few: the student is to match the teacher's function
    away from the data too, so the teacher is evaluated at every step; labels are not used. noise: batch -> changed
    batch with the same rows; by default the share ``rate`` of the edges and of the feature columns is dropped, where
    the paper crops and mixes images. A step costs a forward pass of the teacher.
    """
    task = problem.distiller(problem.student, asked_anew(problem.teacher), problem.soft(temperature))
    return problem.train(task, data=Changed(problem.data, noise_of(noise, rate)))
