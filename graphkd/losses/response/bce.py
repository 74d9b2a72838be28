"""Binary cross-entropy with the labels of several classes at once."""

import torch.nn.functional as F
from torch import Tensor

from graphkd.core.answers import Answers
from graphkd.core.loss import Loss
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import beside


def binary_cross_entropy(student: Tensor, y: Tensor) -> Tensor:
    """Average binary cross-entropy of logits with targets in [0, 1] over known entries: (N, C), (N, C) -> scalar.

    Entries where ``y`` is NaN are unknown and ignored; y of shape (N,) is read as a column beside logits (N, 1).

    Example::

        >>> y = torch.tensor([[0.25, float("nan")]])  # a soft label, and one that is not known
        >>> [round(float(binary_cross_entropy(p.logit(), y)), 3) for p in torch.tensor([[[0.25, 0.1]], [[0.5, 0.9]]])]
        [0.562, 0.693]
    """
    y = beside(y, student)
    if y.shape != student.shape:
        raise ValueError(f"'y' must have the shape of the logits, {tuple(student.shape)}, got {tuple(y.shape)}")
    wide, known = accumulation_dtype(student), ~y.isnan()
    each = F.binary_cross_entropy_with_logits(student.to(wide), y.to(wide).nan_to_num(), reduction="none")
    return (each * known).sum() / known.sum().clamp(min=1)


class BCE(Loss):
    """Learn multi-label targets ``y`` by the binary cross-entropy of the logits, mean over rows and labels.

    student, y: (N, C), targets in [0, 1]; entries whose target is NaN (unknown) are ignored.

    Example::

        >>> y = torch.tensor([[1.0, 0.0], [0.0, float("nan")]])  # the last label is not known
        >>> round(float(BCE()(torch.zeros(2, 2), y=y)), 3)  # log 2
        0.693
        >>> round(float(BCE()(torch.tensor([[20.0, -20.0], [-20.0, 20.0]]), y=y)), 3)
        0.0
    """

    answers: Answers | None = "labels"
    rows = ("y",)

    def forward(self, student: Tensor, *, y: Tensor) -> Tensor:
        return binary_cross_entropy(student, y)
