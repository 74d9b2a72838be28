"""Consistency of a student with what follows it."""

import math
from typing import Unpack

import torch
from torch import Tensor

from graphkd.core.loss import Loss, Reads
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_same_shape


def consistency(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared differences of probabilities, summed over rows, mean over classes: (N, C), (N, C) -> scalar."""
    check_same_shape(student, teacher)
    p, q = (logits.to(accumulation_dtype(logits)).softmax(dim=-1) for logits in (student, teacher))
    return (p - q).square().sum() / student.size(-1)


class Consistency(Loss):
    """Consistency with the moving average of the student. Tarvainen and Valpola, NeurIPS 2017, arXiv:1703.01780.

    (1 / N C) sum_i |softmax(s_i) - softmax(t_i)|^2, the teacher an ``EMA(student)``; student, teacher: (N, C). Over
    ``warm_up`` epochs it rises as exp(-5 (1 - epoch / warm_up)^2), told by ``fit``: before, the average knows nothing.
    The authors' code divides by N in the caller; their weight is 100 with 5 epochs of warm-up.
    """

    answers = "classes"
    warmth: Tensor

    def __init__(self, warm_up: int = 0, **reads: Unpack[Reads]) -> None:
        super().__init__(**reads)
        if warm_up < 0:
            raise ValueError(f"'warm_up' must be at least 0, got {warm_up}")
        self.warm_up = warm_up
        self.register_buffer("warmth", torch.tensor(1.0))

    def set_epoch(self, epoch: int, epochs: int) -> None:  # noqa: ARG002 - the warm-up does not depend on the end
        """The share of the weight."""
        rest = max(1 - epoch / self.warm_up, 0.0) if self.warm_up else 0.0
        self.warmth.fill_(math.exp(-5 * rest**2))

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        return self.warmth * (consistency(student, teacher) / max(student.numel() // student.size(-1), 1))
