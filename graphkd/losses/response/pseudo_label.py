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
    """Mark the rows whose largest probability is ``threshold`` at least: (N, C) -> (N,).

    Example::

        >>> logits = torch.tensor([[3.0, 0.0], [1.0, 0.0]])  # probabilities of 0.95 and 0.73
        >>> is_confident(logits, 0.9)
        tensor([ True, False])
    """
    return teacher.to(accumulation_dtype(teacher)).softmax(dim=-1).amax(dim=-1) >= threshold


def pseudo_label(student: Tensor, teacher: Tensor, threshold: float = 0.9) -> Tensor:
    """Cross-entropy with confident hard pseudo-labels: (N, C), (N, C) -> scalar; see ``PseudoLabel``."""
    check_same_shape(student, teacher)
    entropies = F.cross_entropy(student.to(accumulation_dtype(student)), teacher.argmax(dim=-1), reduction="none")
    return torch.where(is_confident(teacher, threshold), entropies, 0).sum() / max(entropies.numel(), 1)


class PseudoLabel(Loss):
    """Learn the classes of which the teacher is confident. Sohn et al., 2020, arXiv:2005.04757 (STAC).

    (1/N) sum_i [max softmax(t_i) >= threshold] CE(s_i, argmax t_i), N counting unsure rows too; student, teacher:
    (N, C). Give the student a perturbed graph and the teacher the clean one. The paper's weight is 2.

    Example::

        >>> t = torch.tensor([[3.0, 0.0], [1.0, 0.0]])  # probabilities of 0.95 and 0.73
        >>> round(float(PseudoLabel(0.9)(torch.zeros(2, 2), t)), 3)  # log 2 / 2: the first row alone
        0.347
        >>> round(float(PseudoLabel(0.7)(torch.zeros(2, 2), t)), 3)  # both rows
        0.693
        >>> result = graphkd.distil(PseudoLabel(0.5), student, teacher, data, epochs=2, progress=False)
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
