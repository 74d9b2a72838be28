"""KDCRec's refined labels: ratings that the uniform model corrects."""

from __future__ import annotations

import torch
from torch import Tensor

from graphkd.core.loss import Loss
from recsys.losses._ratings import check_shapes, mean
from recsys.losses._scores import wide


def refined_ratings(ratings: Tensor, teacher: Tensor, confidence: float = 0.2) -> Tensor:
    """Labels x + xi z, z the uniform model's outputs scaled to [0, 1] along the last dimension: (..., I) -> (..., I).

    Outputs at unobserved entries count as 0: they take part in the range and also get a label, which has no gradient.
    If all outputs are equal, z = 0, where the authors divide by 0.
    """
    check_shapes(ratings=ratings, teacher=teacher)
    ratings, teacher = wide(ratings, teacher)
    masked = teacher.detach() * (ratings != 0)
    if not masked.numel():
        return ratings
    low, high = masked.amin(dim=-1, keepdim=True), masked.amax(dim=-1, keepdim=True)
    return ratings + confidence * (masked - low) / torch.where(high > low, high - low, 1)


class Refine(Loss):
    """Fit labels refined by the uniform model, by squared error. Liu et al., SIGIR 2020 (KDCRec, label-based).

    mean (x + xi z - f [x != 0])^2, z from ``refined_ratings``: by row for autoencoders (B, I), over the batch for
    factorisations (N,). ``confidence`` is xi.

    Example::

        >>> ratings, teacher = torch.tensor([1.0, -1.0, 0.0]), torch.tensor([2.0, 0.0, 9.0])
        >>> refined_ratings(ratings, teacher, 0.2)
        tensor([ 1.2000, -1.0000,  0.0000])
        >>> round(float(Refine(0.2)(torch.tensor([1.2, -1.0, 7.0]), teacher, ratings=ratings)), 3)
        0.0
    """

    on = "output"

    def __init__(self, confidence: float = 0.2, *, on: str | None = None) -> None:
        super().__init__(on=on)
        self.confidence = confidence

    def forward(self, student: Tensor, teacher: Tensor, *, ratings: Tensor) -> Tensor:
        """See the class."""
        check_shapes(student=student, ratings=ratings)
        refined = refined_ratings(ratings, teacher, self.confidence)
        (student,) = wide(student)
        return mean((refined - student * (ratings != 0)).square())
