"""The half sum of squares of weights, as a model outputs it."""

from __future__ import annotations

import torch
from torch import Tensor

from graphkd.core.loss import Loss
from recsys.losses._scores import wide


def half_squares(*weights: Tensor) -> Tensor:
    """Compute R = 1/2 sum of squares, the authors' L2."""
    return torch.stack([weight.square().sum() for weight in wide(*weights)]).sum() / 2


class Decay(Loss):
    """Penalise a model's output ``decay``: the half sum of squares of its weights, or of its tables' rows in the batch.

    Example::

        >>> Decay()(half_squares(torch.tensor([3.0, 4.0])))
        tensor(12.5000)
    """

    on = "decay"

    def forward(self, student: Tensor) -> Tensor:
        """See the class."""
        return student
