"""Observed (user, item) pairs, sorted, without a dense matrix or Python sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from recsys.data.ids import check_ids, check_number, read_ids
from recsys.data.times import joined, of_events

__all__ = ["Interactions", "Split", "check_ids", "check_sizes"]


@dataclass(frozen=True, eq=False)
class Interactions:
    """Hold a set of (user, item) pairs as compressed rows.

    ptr: (num_users + 1,) int64, items: (nnz,) int32, ascending within a user. padding: id 0 of users and items is a
    placeholder, as in RecBole; it is never sampled, listed or ranked. repeats: (nnz,) int32, how often each pair was
    taken, None where each was taken once. Pairs built from a log also have ``times`` and ``rows`` (events,), the times
    and log rows of all events in the order of ``events()``, and the original ids, ``user_tokens`` and ``item_tokens``;
    these are None where unknown.
    """

    ptr: Tensor
    items: Tensor
    num_users: int
    num_items: int
    padding: bool = False
    repeats: Tensor | None = None
    times: Tensor | None = None
    rows: Tensor | None = None
    user_tokens: tuple[str, ...] | None = None
    item_tokens: tuple[str, ...] | None = None

    @classmethod
    def from_pairs(
        cls,
        users: Any,
        items: Any,
        num_users: int,
        num_items: int,
        *,
        padding: bool = False,
        times: Any = None,
        rows: Any = None,
    ) -> Interactions:
        """Build from pairs in any order, (n,) and (n,) integers: tensors, arrays, series or lists. O(n log n).

        A pair that occurs several times is stored once, and counted in ``repeats``. Pairs lie on the users' device.
        times: (n,) numbers or dates, see ``recsys.data.times.read_times``. rows: (n,) integers that order events of the
        same time, by default 0, 1, ... where there are times. Raises ValueError for unequal lengths and for an id out
        of range, TypeError for ids that are not integers.
        """
        num_users, num_items = check_number("num_users", num_users), check_number("num_items", num_items)
        users = read_ids("users", users)
        items = read_ids("items", items).to(users.device)
        if users.shape != items.shape or users.dim() != 1:
            raise ValueError(
                f"'users' and 'items' must be vectors of one length, got {list(users.shape)} and {list(items.shape)}"
            )
        check_ids("users", users, num_users, padding)
        check_ids("items", items, num_items, padding)
        pairs = users * num_items + items  # below 2**62
        keys, counts = torch.unique(pairs, return_counts=True)  # sorted
        owners = keys.div(max(num_items, 1), rounding_mode="floor")
        ptr = torch.zeros(num_users + 1, dtype=torch.long, device=users.device)
        torch.cumsum(torch.bincount(owners, minlength=num_users), 0, out=ptr[1:])
        repeats = counts.int() if keys.size(0) < users.size(0) else None
        kept = of_events(pairs, times, rows)
        return cls(ptr, (keys - owners * num_items).int(), num_users, num_items, padding, repeats, *kept)

    @classmethod
    def from_tokens(cls, users: Any, items: Any, times: Any = None) -> Interactions:
        """Build from original ids, (n,) and (n,) strings or integers in any container, one event a row. O(n log n).

        times: (n,) numbers, dates, or strings of these, see ``recsys.data.times.read_times``. Users and items are
        numbered in the order of their ids, as numbers where all are integers, else as strings; the order of rows does
        not matter. ``user_tokens`` and ``item_tokens`` keep the ids as strings, for splits and exports. Raises
        ValueError that names the rows whose ids are missing, TypeError for ids of another type.

        Example::

            >>> Interactions.from_tokens(["ann", "bob", "ann"], ["tea", "tea", "jam"], times=[3, 1, 2]).item_tokens
            ('jam', 'tea')
        """
        from recsys.data.tokens import numbered

        (rows, user_tokens), (columns, item_tokens) = numbered("users", users), numbered("items", items)
        own = torch.arange(len(rows))
        found = cls.from_pairs(rows, columns, len(user_tokens), len(item_tokens), times=times, rows=own)
        return replace(found, user_tokens=user_tokens, item_tokens=item_tokens)

    @classmethod
    def from_dataframe(
        cls, frame: Any, user: str = "user", item: str = "item", time: str | None = None
    ) -> Interactions:
        """Build from columns of a data frame of pandas or polars, or of a mapping of columns; see ``from_tokens``.

        Raises ValueError that names the columns that the frame lacks.

        Example::

            >>> Interactions.from_dataframe({"visitor": [7, 9], "sku": [1, 1]}, "visitor", "sku")
            Interactions(2 pairs, 2 users, 1 items)
        """
        from recsys.data.tabular import of_frame

        return of_frame(frame, user, item, time)

    @staticmethod
    def load(path: str | Path) -> Interactions:
        """Read pairs that ``save`` wrote; ValueError for a file that is damaged or has other contents."""
        from recsys.data import files

        return files.load(path)

    def save(self, path: str | Path) -> None:
        """Write the pairs to a safetensors file, atomically."""
        from recsys.data import files

        files.save(self, path)

    def __len__(self) -> int:
        return self.items.size(0)

    def __repr__(self) -> str:
        return f"Interactions({len(self)} pairs, {self.num_users} users, {self.num_items} items)"

    @cached_property
    def keys(self) -> Tensor:
        """Number every pair as user · num_items + item: (nnz,) int64, ascending."""
        return self.users() * self.num_items + self.items

    def users(self) -> Tensor:
        """Return the user of every pair, (nnz,) int64."""
        return torch.repeat_interleave(self.degrees())

    def pairs(self) -> tuple[Tensor, Tensor]:
        """Return users and items of all pairs, (nnz,) and (nnz,) int64, ordered by user, then by item."""
        return self.users(), self.items.long()

    def events(self) -> tuple[Tensor, Tensor]:
        """Return users and items of all events, each pair as often as it was taken; otherwise as ``pairs``."""
        users, items = self.pairs()
        if self.repeats is None:
            return users, items
        return users.repeat_interleave(self.repeats), items.repeat_interleave(self.repeats)

    def degrees(self) -> Tensor:
        """Count every user's distinct items, (num_users,) int64."""
        return self.ptr.diff()

    def counts(self) -> Tensor:
        """Count every item's distinct users, (num_items,) int64."""
        return torch.bincount(self.items, minlength=self.num_items)

    def contains(self, users: Tensor, items: Tensor) -> Tensor:
        """Tell whether each pair is in the set; users and items broadcast. O(log nnz) a pair."""
        users, items = users.long(), items.long()
        wanted = users * self.num_items + items
        if not len(self):
            return torch.zeros_like(wanted, dtype=torch.bool)
        place = torch.searchsorted(self.keys, wanted).clamp_(max=len(self) - 1)
        return (self.keys[place] == wanted) & (items >= 0) & (items < self.num_items)

    def of(self, users: Tensor) -> tuple[Tensor, Tensor]:
        """Look up the items of users (R,): the row of each item in ``users`` (n,) int64, and the items (n,) int64."""
        starts, sizes = self.ptr[users], self.degrees()[users]
        rows = torch.repeat_interleave(sizes)
        first = (sizes.cumsum(0) - sizes)[rows]
        steps = torch.arange(rows.size(0), device=rows.device) - first
        return rows, self.items[starts[rows] + steps].long()

    def transpose(self) -> Interactions:
        """Swap users and items: the same pairs by item."""
        users, items = self.events()
        found = Interactions.from_pairs(
            items, users, self.num_items, self.num_users, padding=self.padding, times=self.times, rows=self.rows
        )
        return replace(found, user_tokens=self.item_tokens, item_tokens=self.user_tokens)

    def union(self, *others: Interactions) -> Interactions:
        """Join all pairs of several sets over the same users and items, on the first one's device; repeats add up.

        Times and rows are kept where all sets have them. Raises ValueError for other sizes.
        """
        for other in others:
            check_sizes("others", other, self)
        sets, device = (self, *others), self.ptr.device
        users, items = (torch.cat([each.events()[side].to(device) for each in sets]) for side in (0, 1))
        times, rows = (joined([getattr(each, name) for each in sets], device) for name in ("times", "rows"))
        found = Interactions.from_pairs(
            users, items, self.num_users, self.num_items, padding=self.padding, times=times, rows=rows
        )
        return replace(found, user_tokens=self.user_tokens, item_tokens=self.item_tokens)

    def to(self, device: torch.device | str) -> Interactions:
        """Move the pairs to another device."""
        held = {name: getattr(self, name) for name in ("ptr", "items", "repeats", "times", "rows")}
        return replace(self, **{name: each.to(device) for name, each in held.items() if each is not None})


@dataclass(frozen=True)
class Split:
    """Hold training, validation and test pairs over the same ids, and the original ids (tokens) where known.

    ``ratio``, ``by_time``, ``leave_last_out`` and ``by_rows`` split interactions, ``given`` joins three sets.
    """

    train: Interactions
    valid: Interactions
    test: Interactions
    user_tokens: tuple[str, ...] | None = None
    item_tokens: tuple[str, ...] | None = None

    @staticmethod
    def ratio(
        pairs: Interactions, shares: Sequence[float] = (0.8, 0.1, 0.1), *, seed: int = 0, within_users: bool = True
    ) -> Split:
        """Split pairs at random, within each user or all together; a pair taken several times stays in one part.

        The numbers of validation and test pairs are rounded down, but to at least one while more than one is left for
        training, as in RecBole.
        """
        from recsys.data import splitting

        return splitting.by_ratio(pairs, shares, seed, within_users)

    @staticmethod
    def by_time(pairs: Interactions, shares: Sequence[float] = (0.8, 0.1, 0.1), *, within_users: bool = False) -> Split:
        """Train on the earlier events and test on the last ones, of all users together or within each user.

        Events of the same time keep the order of their rows. The events of a pair that was taken several times may fall
        into several parts. Without ``within_users``, test users and items may have no training pairs; a model of ids
        knows nothing of them. Raises ValueError for interactions without times.
        """
        from recsys.data import splitting

        return splitting.by_time(pairs, shares, within_users)

    @staticmethod
    def leave_last_out(pairs: Interactions) -> Split:
        """Test on each user's last event and validate on the one before, where at least one event is left to train."""
        from recsys.data import splitting

        return splitting.leave_last_out(pairs)

    @staticmethod
    def by_rows(pairs: Interactions, train: Any, valid: Any, test: Any) -> Split:
        """Split by numbers or masks of the rows that the interactions were built from; other rows are left out."""
        from recsys.data import splitting

        return splitting.by_rows(pairs, (train, valid, test))

    @staticmethod
    def given(train: Interactions, valid: Interactions, test: Interactions) -> Split:
        """Join three sets that were built separately, each with its tokens: the same token becomes the same id.

        Example::

            >>> parts = [Interactions.from_tokens(["ann", user], ["tea", "jam"]) for user in ("ann", "bob", "eve")]
            >>> Split.given(*parts).user_tokens
            ('ann', 'bob', 'eve')
        """
        from recsys.data import splitting

        return splitting.given((train, valid, test))

    @staticmethod
    def load(path: str | Path) -> Split:
        """Read a split that ``save`` wrote; ValueError for a file that is damaged or has other contents."""
        from recsys.data import files

        return files.load_split(path)

    def save(self, path: str | Path) -> None:
        """Write the three sets and the tokens to a safetensors file, atomically."""
        from recsys.data import files

        files.save_split(self, path)


def check_sizes(name: str, got: Interactions, expected: Interactions) -> None:
    """Raise ValueError unless two sets have the same numbers of users and items, the same known tokens and padding."""
    inputs = [(each.num_users, each.num_items, each.padding) for each in (got, expected)]
    if inputs[0] != inputs[1]:
        texts = [f"{users} users × {items} items{', padded' * padding}" for users, items, padding in inputs]
        raise ValueError(f"'{name}' must be over {texts[1]}, got {texts[0]}")
    for side in ("user_tokens", "item_tokens"):
        ids = getattr(got, side), getattr(expected, side)
        if None not in ids and ids[0] is not ids[1] and ids[0] != ids[1]:
            raise ValueError(f"'{name}' must have the {side} of the others, got its own: Split.given numbers all alike")
