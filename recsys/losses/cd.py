"""CD: a teacher's soft targets on items drawn by rank."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphkd.core.loss import Loss
from graphkd.losses._checks import check_same_shape
from recsys.losses._scores import Reduction, log_sigmoid, reduce, wide


def cd(
    student: Tensor,
    teacher: Tensor,
    *,
    temperature: float = 2.0,
    offset: float = 0.0,
    eps: float = 0.0,
    reduction: Reduction = "mean",
) -> Tensor:
    """Cross-entropy with the teacher's softened probabilities: (R, n), (R, n) -> scalar; formula at ``CD``."""
    check_same_shape(student, teacher)
    if temperature <= 0:
        raise ValueError(f"'temperature' must be positive, got {temperature}")
    student, teacher = wide(student, teacher)
    target = torch.sigmoid((teacher + offset) / temperature)
    # 1 - sigma(x) = sigma(-x), so that both logarithms are exact at any score
    return reduce(-(target * log_sigmoid(student, eps) + (1 - target) * log_sigmoid(-student, eps)), reduction)


class CD(Loss):
    """Match soft targets on items drawn by rank (collaborative distillation). Lee et al., ICDM 2019, arXiv:1911.05276.

    q = sigma((t(u, i) + t2) / t1), x = sigma(s(u, i)); (1/R) sum_u (1/n) sum_i -[q log(x + e) + (1-q) log(1-x + e)].
    student, teacher: scores (R, n) of the drawn items; ValueError for different shapes. ``temperature`` t1 and
    ``offset`` t2 act on the teacher alone. Whether items are drawn by the teacher's or the student's ranking depends on
    the list given. No code of the authors is public: UnKD's takes the mean, with e = ``eps`` 1e-10, RCE-KD's the sum
    (``reduction``).

    Example::

        >>> teacher = torch.tensor([[4.0, -2.0]])
        >>> loss = CD(temperature=2.0)
        >>> values = [float(loss(student, teacher)) for student in (teacher / 2, teacher, -teacher)]
        >>> values == sorted(values)  # least where the student's scores are the teacher's over T
        True
    """

    on = "drawn"

    def __init__(
        self,
        temperature: float = 2.0,
        offset: float = 0.0,
        *,
        eps: float = 0.0,
        reduction: Reduction = "mean",
        on: str | None = None,
    ) -> None:
        super().__init__(on=on)
        self.temperature, self.offset, self.eps = temperature, offset, eps
        self.reduction: Reduction = reduction

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """See the class."""
        options: dict[str, Any] = {"temperature": self.temperature, "offset": self.offset, "eps": self.eps}
        return cd(student, teacher, **options, reduction=self.reduction)
