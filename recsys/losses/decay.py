"""The half sum of squares of the weights that a model shows."""

from __future__ import annotations

import torch
from torch import Tensor

from graphkd.core.loss import Loss
from recsys.losses._scores import wide


def half_squares(*weights: Tensor) -> Tensor:
    """R = 1/2 sum of squares, the authors' L2."""
    return torch.stack([weight.square().sum() for weight in wide(*weights)]).sum() / 2


class Decay(Loss):
    """The half sum of squares ``decay`` that a model shows: its weights, or the rows of its tables in the batch."""

    on = "decay"

    def forward(self, student: Tensor) -> Tensor:
        """See the class."""
        return student
