"""Checks that scores and tables contain neither NaN nor infinity."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def check_finite(values: Tensor, rule: str, apart: Callable[[], Tensor] | None = None) -> None:
    """Raise ValueError of a ``rule`` that counts NaN and infinite values, except where ``apart()`` is True.

    One pass over the values if all are finite.
    """
    if not values.is_floating_point() or bool(_total(values).isfinite()):
        return
    wrong = ~values.isfinite()
    if apart is not None:
        wrong &= ~apart()
    count = int(wrong.sum())
    if count:
        place = tuple(wrong.nonzero()[0].tolist())
        raise ValueError(
            f"{rule}, got {count} NaN or infinite of {values.numel()}, the first {float(values[place])} "
            f"at {place[0] if len(place) == 1 else place}: training diverged, or the numbers are too large for "
            f"{values.dtype}: train again with a smaller learning rate, or use a wider type"
        )


def _total(values: Tensor) -> Tensor:
    """Sum values to a number that is finite only if all of them are."""
    return values.detach().sum(dtype=torch.float32 if values.dtype.itemsize < 4 else None)
