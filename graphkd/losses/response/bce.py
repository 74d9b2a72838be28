"""Binary cross-entropy with the labels of several classes at once."""

import torch.nn.functional as F
from torch import Tensor

from graphkd.core.answers import Answers
from graphkd.core.loss import Loss
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import beside


def binary_cross_entropy(student: Tensor, y: Tensor) -> Tensor:
    """Binary cross-entropy of logits with targets in [0, 1], the mean over known entries: (N, C), (N, C) -> scalar."""
    y = beside(y, student)
    if y.shape != student.shape:
        raise ValueError(f"'y' must have the shape of the logits, {tuple(student.shape)}, got {tuple(y.shape)}")
    wide, known = accumulation_dtype(student), ~y.isnan()
    each = F.binary_cross_entropy_with_logits(student.to(wide), y.to(wide).nan_to_num(), reduction="none")
    return (each * known).sum() / known.sum().clamp(min=1)


class BCE(Loss):
    """Binary cross-entropy of the logits with multi-label targets ``y``, mean over rows and labels.

    student, y: (N, C), targets in [0, 1], NaN where they are not known: these entries count for nothing.
    """

    answers: Answers | None = "labels"
    rows = ("y",)

    def forward(self, student: Tensor, *, y: Tensor) -> Tensor:
        return binary_cross_entropy(student, y)
