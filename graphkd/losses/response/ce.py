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
    """Learn the labels ``y`` by cross-entropy of the logits, mean over rows; ``where="train_mask"`` for labelled ones.

    student: (N, C), y: (N,) integers in [0, C). Raises ValueError for other labels, -1 and NaN included.

    Example::

        >>> round(float(CE()(torch.zeros(2, 3), y=torch.tensor([0, 2]))), 3)  # log 3
        1.099
        >>> loss = 0.1 * CE(where="train_mask") + 0.9 * graphkd.losses.KL(4.0)  # KL reads all rows
        >>> result = graphkd.distil(loss, student, teacher, data, epochs=2, progress=False)
    """

    answers = "classes"
    rows = ("y",)

    def forward(self, student: Tensor, *, y: Tensor) -> Tensor:
        return cross_entropy(student, y)
