"""Weights that rise or fall over training."""

from __future__ import annotations

import math


def _share(epoch: float, length: float) -> float:
    return min(max(epoch / length, 0.0), 1.0)


def sigmoid_rampup(epoch: float, length: float = 80.0) -> float:
    """Compute exp(-5 (1 - min(epoch / length, 1))^2), from e^-5 to 1, 1 for length 0. Laine and Aila, ICLR 2017."""
    return 1.0 if length == 0 else math.exp(-5 * (1 - _share(epoch, length)) ** 2)


def linear_rampup(epoch: float, length: float = 80.0) -> float:
    """Compute min(epoch / length, 1), 1 for length 0."""
    return 1.0 if length == 0 else _share(epoch, length)


def cosine_rampdown(epoch: float, length: float = 80.0) -> float:
    """Compute (1 + cos(pi min(epoch / length, 1))) / 2, 1 to 0, 0 for length 0. Loshchilov and Hutter, ICLR 2017.

    arXiv:1608.03983, without restarts.
    """
    return 0.0 if length == 0 else (1 + math.cos(math.pi * _share(epoch, length))) / 2
