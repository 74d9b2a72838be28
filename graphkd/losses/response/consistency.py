"""Consistency of a student with its moving average."""

import math
from typing import Unpack

import torch
from torch import Tensor

from graphkd.core.loss import Loss, Reads
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_same_shape


def consistency(student: Tensor, teacher: Tensor) -> Tensor:
    """Sum squared differences of probabilities over rows, mean over classes: (N, C), (N, C) -> scalar."""
    check_same_shape(student, teacher)
    p, q = (logits.to(accumulation_dtype(logits)).softmax(dim=-1) for logits in (student, teacher))
    return (p - q).square().sum() / student.size(-1)


class Consistency(Loss):
    """Match the moving average of the student. Tarvainen and Valpola, NeurIPS 2017, arXiv:1703.01780.

    (1 / N C) sum_i |softmax(s_i) - softmax(t_i)|^2, with an ``EMA(student)`` as the teacher; student, teacher: (N, C).
    ramp: the share of training over which the loss is scaled up by exp(-5 (1 - e)^2), e the share of the ramp that is
    done, because the average knows little at first; ``fit`` calls ``set_epoch``. The authors' code divides by N in the
    caller, gives the loss the weight 100 beside the mean cross-entropy of labelled rows and raises it over 40,000 of
    150,000 steps: a ``ramp`` of 0.27.

    Example::

        >>> logits = torch.tensor([[20.0, -20.0]])
        >>> round(float(Consistency()(logits, -logits)), 3)  # |(1, 0) - (0, 1)|^2 / 2
        1.0
        >>> loss = Consistency(ramp=0.5)
        >>> loss.set_epoch(0, epochs=10)
        >>> round(float(loss(logits, -logits)), 3)  # exp(-5); 1 again from epoch 5
        0.007
    """

    answers = "classes"
    warmth: Tensor

    def __init__(self, ramp: float = 0.0, **reads: Unpack[Reads]) -> None:
        super().__init__(**reads)
        if not 0 <= ramp <= 1:
            raise ValueError(f"'ramp' must be in [0, 1], a share of training, got {ramp}")
        self.ramp = ramp
        self.register_buffer("warmth", torch.tensor(1.0))

    def set_epoch(self, epoch: int, epochs: int) -> None:
        """Scale the loss for ``epoch`` of ``epochs``, counted from 0."""
        rest = max(1 - epoch / (self.ramp * epochs), 0.0) if self.ramp else 0.0
        self.warmth.fill_(math.exp(-5 * rest**2))

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        return self.warmth * (consistency(student, teacher) / max(student.numel() // student.size(-1), 1))
