"""Supervision transfer: a student learns hidden features of another kind of input, then labels (cross-modal).

Gupta, Hoffman and Malik, "Cross Modal Distillation for Supervision Transfer", CVPR 2016, arXiv:1507.00448.
"""

from __future__ import annotations

from torch import nn

from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.losses.features.fitnet import FitNet


@method(
    "supervision_transfer",
    family="domains",
    paper="Gupta, Hoffman and Malik, CVPR 2016",
    arxiv="1507.00448",
    survey=(122,),
    needs=("hidden",),
)
def supervision_transfer(problem: Problem) -> nn.Module:
    """Bring hidden features of another kind of input into the student, then learn the labels.

    Choose it where many objects have both kinds of input (text and graph, two sensors) and few have labels: the first
    stage needs pairs only. There ``FitNet`` matches the student's hidden layer, through a linear map, to the teacher's
    on all rows, to the last epoch; the second stage learns the labels alone. Both models are called by the names of
    their inputs in the batch, which may differ. Costs two trainings.
    """
    hint = FitNet(*problem.widths)
    problem.train(problem.distiller(problem.student, problem.teacher, hint), "hint", choose=False)
    return problem.train(problem.distiller(problem.student, None, problem.supervised()), "labels")
