"""Soft targets whose weight changes over training."""

from typing import Unpack

import torch
from torch import Tensor

from graphkd.core.loss import Reads
from graphkd.losses.response.kd import KL, Softened


class FadingKL(KL):
    """Match soft targets with a falling weight, as FitNets' second stage. Romero et al., ICLR 2015, arXiv:1412.6550.

    w T^2 mean_i KL(softmax(t_i / T) || softmax(s_i / T)), w linear over the epochs from ``first`` to ``last``; the
    paper uses 4, 1 and T = 3. student, teacher: (N, C). ``fit`` calls ``set_epoch``; in your own loop call it before
    every epoch.

    Example::

        >>> loss = FadingKL(3.0, first=4.0, last=1.0)
        >>> loss.set_epoch(1, epochs=4)  # weights 4, 3, 2, 1
        >>> loss.weight
        tensor(3.)
        >>> loss = graphkd.losses.CE(where="train_mask") + loss
        >>> result = graphkd.distil(loss, student, teacher, data, epochs=2, progress=False)
    """

    weight: Tensor

    def __init__(
        self, temperature: float = 3.0, *, first: float = 4.0, last: float = 1.0, **reads: Unpack[Reads]
    ) -> None:
        super().__init__(temperature, **reads)
        self.first, self.last = first, last
        self.register_buffer("weight", torch.tensor(first))

    def set_epoch(self, epoch: int, epochs: int) -> None:
        """Set the weight of soft targets for ``epoch`` of ``epochs``, counted from 0."""
        self.weight.fill_(self.first + (self.last - self.first) * epoch / max(epochs - 1, 1))

    def forward(self, student: Tensor, teacher: Tensor | Softened) -> Tensor:
        return self.weight * super().forward(student, teacher)
