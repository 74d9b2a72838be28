"""Cross-entropy with the labels."""

import torch.nn.functional as F
from torch import Tensor

from graphkd.core.loss import Loss
from graphkd.losses._checks import check_labels


def cross_entropy(student: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy with integer labels, the mean over rows: (N, C), (N,) -> scalar."""
    check_labels(y, student.size(0), student.size(-1))
    return F.cross_entropy(student, y.long(), reduction="sum") / max(student.size(0), 1)


class CE(Loss):
    """Cross-entropy of the logits with the labels ``y``, mean over rows; ``where="train_mask"`` for labelled ones.

    student: (N, C), y: (N,) integers in [0, C), else ValueError.
    """

    rows = ("y",)

    def forward(self, student: Tensor, *, y: Tensor) -> Tensor:
        return cross_entropy(student, y)
