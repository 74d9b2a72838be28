"""Lists whose scores are wanted: what a batch of ranking distillation asks the models for."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Lists(NamedTuple):
    """Pairs whose scores are wanted: users (R,) of items (R, M), or, on the item side, users (R, M) of items (R,)."""

    users: Tensor
    items: Tensor
