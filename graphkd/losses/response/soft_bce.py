"""Soft targets where a row has several labels."""

from torch import Tensor

from graphkd.core.answers import Answers
from graphkd.core.loss import Loss
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_same_shape
from graphkd.losses.response.bce import binary_cross_entropy


def soft_bce(student: Tensor, teacher: Tensor) -> Tensor:
    """Average the binary cross-entropy with the teacher's sigmoid: (N, C), (N, C) logits -> scalar; see ``SoftBCE``."""
    check_same_shape(student, teacher)
    return binary_cross_entropy(student, teacher.to(accumulation_dtype(teacher)).sigmoid())


class SoftBCE(Loss):
    """Match soft targets of multi-label nodes. Joshi et al., TNNLS 2022, arXiv:2111.04964.

    BCE(student, sigmoid(teacher)), the mean over rows and labels; student, teacher: (N, C) logits. The authors' code
    for PPI multiplies it by T^2 without softening anything: put such a factor into the weight.

    Example::

        >>> t = torch.tensor([[0.0, 20.0]])
        >>> round(float(SoftBCE()(t, t)), 3)  # its least value: the mean entropy of the labels, log 2 and 0
        0.347
        >>> round(float(SoftBCE()(torch.zeros(1, 2), t)), 3)
        0.693
    """

    answers: Answers | None = "labels"

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        return soft_bce(student, teacher)


@method(
    "soft_bce",
    family="response",
    paper="Joshi et al., TNNLS 2022",
    arxiv="2111.04964",
    tasks=("classes", "multi_label_node_classification"),
)
def soft_bce_method(problem: Problem, *, weight: float = 1.0) -> Loss:
    """Match the teacher's answer to every class apart, by binary cross-entropy, beside the labels.

    Choose it where a row may have several labels or none; where it has one, ``kd`` fits better.
    """
    return problem.supervised() + weight * SoftBCE()
