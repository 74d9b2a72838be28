"""Cross-entropy with the labels."""

import torch.nn.functional as F
from torch import Tensor

from graphkd.core.loss import Loss
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import class_ids_of


def cross_entropy(student: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy with integer labels, the mean over rows: (N, C), (N,) -> scalar."""
    y = class_ids_of(student, y)
    logits = student.to(accumulation_dtype(student))
    return F.cross_entropy(logits, y, reduction="sum") / max(student.size(0), 1)


class CE(Loss):
    """Cross-entropy of the logits with the labels ``y``, mean over rows; ``where="train_mask"`` for labelled ones.

    student: (N, C), y: (N,) integers in [0, C), else ValueError.
    """

    answers = "classes"
    rows = ("y",)

    def forward(self, student: Tensor, *, y: Tensor) -> Tensor:
        return cross_entropy(student, y)
