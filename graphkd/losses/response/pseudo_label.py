"""Cross-entropy with the teacher's confident decisions."""

from typing import Unpack

import torch
import torch.nn.functional as F
from torch import Tensor

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_same_shape


def is_confident(teacher: Tensor, threshold: float) -> Tensor:
    """Where the largest probability is ``threshold`` at least: (N, C) -> (N,)."""
    return teacher.to(accumulation_dtype(teacher)).softmax(dim=-1).amax(dim=-1) >= threshold


def pseudo_label(student: Tensor, teacher: Tensor, threshold: float = 0.9) -> Tensor:
    """Cross-entropy with confident hard pseudo-labels: (N, C), (N, C) -> scalar; see ``PseudoLabel``."""
    check_same_shape(student, teacher)
    entropies = F.cross_entropy(student.to(accumulation_dtype(student)), teacher.argmax(dim=-1), reduction="none")
    return torch.where(is_confident(teacher, threshold), entropies, 0).sum() / max(entropies.numel(), 1)


class PseudoLabel(Loss):
    """Consistency with the teacher's confident decisions. Sohn et al., 2020, arXiv:2005.04757 (STAC).

    (1/N) sum_i [max softmax(t_i) >= threshold] CE(s_i, argmax t_i): divided by all N rows, the unsure ones too;
    student, teacher: (N, C). The student sees a perturbed graph, the teacher the clean one. Weight 2 in the paper.
    """

    answers = "classes"

    def __init__(self, threshold: float = 0.9, **reads: Unpack[Reads]) -> None:
        super().__init__(**reads)
        self.threshold = threshold

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        return pseudo_label(student, teacher, self.threshold)


@method(
    "pseudo_label",
    family="response",
    paper="Sohn et al., 2020",
    arxiv="2005.04757",
    survey=(6,),
    tasks=("classes",),
    space={"threshold": (0.3, 0.99)},
)
def pseudo_label_method(problem: Problem, *, weight: float = 2.0, threshold: float = 0.9) -> Loss:
    """Learn the teacher's class where it is sure of it, beside the labels.

    Choose it where few rows have labels and the teacher is calibrated, so that ``threshold`` sorts out its errors.
    """
    return problem.supervised() + weight * PseudoLabel(threshold)
