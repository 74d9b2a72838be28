"""Teacher outlier rejection: labels near the teacher's answer only (TOR)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from graphkd.core.loss import Loss
from graphkd.losses._checks import check_same_shape
from graphkd.losses.regression._errors import check_outputs, row_mean, squared_errors


def is_inlier(teacher: Tensor, y: Tensor, threshold: float = 1.0) -> Tensor:
    """Where the target is at most ``threshold`` from the teacher's output: (N, k), (N, k) -> (N,)."""
    return squared_errors(teacher, y) <= threshold**2


def outlier_rejection(
    student: Tensor, imitation: Tensor, teacher: Tensor, y: Tensor, *, threshold: float = 1.0, weight: float = 0.5
) -> Tensor:
    """Squared errors of two heads, labels near the teacher's only: (N, k) each -> scalar; see ``OutlierRejection``."""
    check_outputs(student, teacher, y)
    check_same_shape(imitation, teacher)
    labelled = torch.where(is_inlier(teacher, y, threshold), squared_errors(student, y), 0)
    return row_mean(labelled + weight * squared_errors(imitation, teacher))


class OutlierRejection(Loss):
    """Teacher outlier rejection (TOR) for noisy targets. After Takamoto et al., MIPR 2020, arXiv:2002.12597.

    mean_i ([|t_i - y_i| <= threshold] |s_i - y_i|^2 + weight |r_i - t_i|^2); s and r are the student's heads for labels
    and for the teacher, ``on`` names both entries, in that order, and the teacher is read at the second; all (N, k).
    A restatement: the paper's exact formula was not at hand. The mean is over all rows, the rejected too.
    """

    on = ("logits", "imitation")
    rows: ClassVar[tuple[str, ...]] = ("y",)

    def __init__(
        self,
        threshold: float = 1.0,
        weight: float = 0.5,
        *,
        on: tuple[str, str] | None = None,
        where: str | None = None,
    ) -> None:
        super().__init__(on=on, where=where)
        self.threshold, self.weight = threshold, weight

    def forward(self, student: tuple[Tensor, Tensor], teacher: tuple[Tensor, Tensor], *, y: Tensor) -> Tensor:
        """See the class."""
        return outlier_rejection(*student, teacher[1], y, threshold=self.threshold, weight=self.weight)
