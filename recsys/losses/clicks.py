"""Clicks: binary cross-entropy.

A click is binary, so a model outputs one logit a row: (N,), or (N, T) for T tasks on the same rows.
"""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from graphkd.core.loss import Loss
from recsys.losses._scores import wide


def click_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy with targets in [0, 1], the mean over all entries: (...), (...) -> scalar."""
    if target.shape != logits.shape:
        raise ValueError(f"targets must have the shape of the logits, {tuple(logits.shape)}, got {tuple(target.shape)}")
    (logits,) = wide(logits)
    total = F.binary_cross_entropy_with_logits(logits, target.to(logits.dtype), reduction="sum")
    return total / max(logits.numel(), 1)


class Clicks(Loss):
    """Measure the binary cross-entropy with clicks ``y``, the mean over entries; student, y: (N,) or (N, T).

    Example::

        >>> Clicks()(torch.tensor([0.0, 99.0]), y=torch.tensor([1.0, 1.0]))  # (log 2 + 0) / 2
        tensor(0.3466)
    """

    rows: ClassVar[tuple[str, ...]] = ("y",)

    def forward(self, student: Tensor, *, y: Tensor) -> Tensor:
        """See the class."""
        return click_loss(student, y)
