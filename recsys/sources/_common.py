"""Common parts of the sources."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from torch import Tensor

from recsys.data.lists import Lists

Per = Literal["row", "user"]
Drawn = TypeVar("Drawn")


class Clock:
    """Tell in which epochs an action is due: in those divisible by ``every``, or in none."""

    def __init__(self, every: int | None) -> None:
        if every is not None and every < 1:
            raise ValueError(f"epochs between rankings must be at least 1, got {every}")
        self.every, self.epoch = every, 0

    def due(self) -> bool:
        """Tell whether it is due, then advance by one epoch; ``epoch`` may be set instead."""
        now = self.every is not None and self.epoch % self.every == 0
        self.epoch += 1
        return now


def check_per(per: Per) -> Per:
    """Raise ValueError unless ``per`` is "row" or "user"."""
    if per not in ("row", "user"):
        raise ValueError(f"'per' must be 'row' or 'user', got {per!r}")
    return per


def rows_of(batch: Mapping[str, Any], per: Per) -> Tensor:
    """Return the users of a batch's rows, or its distinct users."""
    return batch["users"] if per == "row" else batch["unique_users"]


def look_up(table: Tensor, users: Tensor) -> Lists:
    """Look up users' rows of a table of items, (U, M)."""
    return Lists(users, table[users].long())


def drawn(table: Drawn | None) -> Drawn:
    """Return the drawn table; RuntimeError before the first epoch."""
    if table is None:
        raise RuntimeError("the lists were not drawn yet: call resample(), as RankingBatches does for every epoch")
    return table
