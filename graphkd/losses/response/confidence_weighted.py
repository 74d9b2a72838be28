"""Labels weighted by a teacher's confidence."""

import torch
import torch.nn.functional as F
from torch import Tensor

from graphkd.core.loss import Loss
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_same_shape, class_ids_of


def confidence_weighted(student: Tensor, teacher: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy weighted by confidence: (N, C), (N, C), (N,) -> scalar; see ``ConfidenceWeighted``."""
    check_same_shape(student, teacher)
    y = class_ids_of(student, y)
    confidence = teacher.to(accumulation_dtype(teacher)).softmax(dim=-1).amax(dim=-1)
    entropies = F.cross_entropy(student.to(confidence.dtype), y, reduction="none")
    return (confidence * entropies).sum() / confidence.sum().clamp(min=torch.finfo(confidence.dtype).tiny)


class ConfidenceWeighted(Loss):
    """Weigh the labels by the teacher's confidence. Furlanello et al., ICML 2018, arXiv:1805.04770 (CWTM).

    sum_i w_i CE(s_i, y_i), w_i = max softmax(t_i), divided by its sum over rows; student, teacher: (N, C), y: (N,)
    integers in [0, C). The paper uses it as a control that shows how much of the gain of born-again networks comes from
    importance weighting alone.

    Example::

        >>> t = torch.tensor([[20.0, -20.0], [0.0, 0.0]])  # confidences 1 and 1/2: weights 2/3 and 1/3
        >>> s = torch.tensor([[0.0, 0.0], [20.0, -20.0]])  # errors log 2 and 0
        >>> round(float(ConfidenceWeighted()(s, t, y=torch.tensor([0, 0]))), 3)  # 2/3 log 2
        0.462
        >>> loss = ConfidenceWeighted(where="train_mask")
        >>> result = graphkd.distil(loss, student, teacher, data, epochs=2, progress=False)
    """

    answers = "classes"
    rows = ("y",)

    def forward(self, student: Tensor, teacher: Tensor, *, y: Tensor) -> Tensor:
        return confidence_weighted(student, teacher, y)
