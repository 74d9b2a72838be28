"""Lists whose scores are wanted: what a batch of ranking distillation asks the models for."""

from __future__ import annotations

import logging
from typing import NamedTuple

from torch import Tensor

_log = logging.getLogger(__name__)


class Lists(NamedTuple):
    """Pairs whose scores are wanted: users (R,) of items (R, M), or, on the item side, users (R, M) of items (R,)."""

    users: Tensor
    items: Tensor


def list_length(name: str, asked: int | None, usual: int, most: int, what: str) -> int:
    """How long a list is: as asked for, or else as is usual, or shorter where a small data set has no more.

    what: where ``most`` comes from. What is shorter than usual is said in the log; ValueError where it is asked for.
    """
    if most < 1 or (asked is not None and not 1 <= asked <= most):
        asked = usual if asked is None else asked
        raise ValueError(f"'{name}' must be from 1 to {most}, {what}, got {asked}")
    if asked is None and usual > most:
        _log.warning("%r is %d here, %s, not %d", name, most, what, usual)
    return min(usual, most) if asked is None else asked
