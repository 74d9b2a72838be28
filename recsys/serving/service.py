"""Recommendations by original ids, from an export."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from recsys.data.tokens import places_of
from recsys.retrieve import Best
from recsys.serving.export import Exported

Unknown = Literal["refuse", "skip", "popular"]
_CHOICES = ("refuse", "skip", "popular")
_SHOWN = 5


class Recommended(NamedTuple):
    """Recommendations for one user: items, best first, and their scores; there may be fewer than requested.

    known: False for a user unknown to the model; the items are then those that most users have, scored by that number.
    """

    user: str
    items: tuple[str, ...]
    scores: tuple[float, ...]
    known: bool = True


class Service:
    """Recommend items by the original ids of users and items; without these, by their row numbers.

    Items that the user has, and padding, are never recommended. The object stores the tables and serves many requests.
    """

    def __init__(self, exported: Exported) -> None:
        self.exported, self.tables = exported, exported.tables
        self._retriever = exported.retriever()
        self._users = places_of(self._named(exported.user_tokens, self.tables.num_users))
        self._items = self._named(exported.item_tokens, self.tables.num_items)

    @staticmethod
    def _named(tokens: Sequence[str] | None, size: int) -> Sequence[str]:
        return tuple(map(str, range(size))) if tokens is None else tokens

    def recommend(self, users: Iterable[str | int], k: int = 10, *, unknown: Unknown = "refuse") -> list[Recommended]:
        """Recommend at most k items to each user, in the order of ``users``.

        k: at least 1; a list is shorter where fewer items are left. unknown: for users unknown to the model, "refuse"
        raises ValueError that names them, "skip" leaves them out, "popular" gives them the items that most users have.
        Raises ValueError for other values, TypeError for ``users`` that are one string.
        """
        if unknown not in _CHOICES:
            raise ValueError(f"'unknown' must be one of {_CHOICES}, got {unknown!r}")
        if isinstance(users, (str, bytes)):
            raise TypeError(f"'users' must be a list of users, got {users!r}: give [{users!r}]")
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            raise ValueError(f"'k' must be at least 1, got {k!r}")
        names = [str(user) for user in users]
        rows = [self._row(name) for name in names]
        strangers = [name for name, row in zip(names, rows, strict=True) if row is None]
        if strangers and unknown == "refuse":
            raise ValueError(_unknown(strangers, len(self._users) - int(self.tables.padding)))
        known = [row for row in rows if row is not None]
        best = self._best(known, min(k, self.tables.num_items))
        lists = iter(zip(best.items.tolist(), best.scores.tolist(), strict=True))
        found = []
        for name, row in zip(names, rows, strict=True):
            if row is not None:
                found.append(self._told(name, *next(lists)))
            elif unknown == "popular":
                found.append(self._popular(name, k))
        return found

    def _row(self, name: str) -> int | None:
        row = self._users.get(name)
        nobody = row == 0 and self._retriever.padding
        return None if row is None or nobody or (self._without is not None and bool(self._without[row])) else row

    @cached_property
    def _without(self) -> Tensor | None:
        """Tell which users have no history, and so are unknown to a sequential recommender."""
        sequential = dict(self.exported.card.get("served") or {}).get("sequential", False)
        return self.exported.seen.degrees() == 0 if sequential and self.exported.seen is not None else None

    def _best(self, rows: list[int], k: int) -> Best:
        if not rows:
            return Best(torch.zeros(0, k, dtype=torch.long), torch.zeros(0, k))
        return self._retriever.users(rows, k)

    def _told(self, name: str, items: list[int], scores: list[float], known: bool = True) -> Recommended:
        size = next((place for place, item in enumerate(items) if item < 0), len(items))
        return Recommended(name, tuple(self._items[item] for item in items[:size]), tuple(scores[:size]), known)

    @cached_property
    def _counts(self) -> Tensor:
        if self.exported.seen is None:
            raise ValueError(
                "unknown='popular' needs what users have, and this export holds none: export with a split or 'seen', "
                "or say unknown='skip'"
            )
        return self.exported.seen.counts()

    def _popular(self, name: str, k: int) -> Recommended:
        counts = self._counts
        best = counts.argsort(descending=True, stable=True)[: min(k, int((counts > 0).sum()))]
        return self._told(name, best.tolist(), counts[best].double().tolist(), known=False)


def _unknown(strangers: list[str], known: int) -> str:
    shown = ", ".join(map(repr, strangers[:_SHOWN]))
    more = f" and {len(strangers) - _SHOWN} more" if len(strangers) > _SHOWN else ""
    return (
        f"'users' must be among the {known} that the model knows, got {shown}{more}: say unknown='skip' to leave them "
        "out, or unknown='popular' to give them what most users have"
    )
