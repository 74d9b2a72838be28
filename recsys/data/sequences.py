"""Sequences of every user's items, in the order of time: the data of sequential recommenders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recsys.data.ids import check_ids, check_number, read_ids
from recsys.data.interactions import Interactions


@dataclass(frozen=True, eq=False)
class Sequences:
    """Hold every user's items, oldest first, as compressed rows; id 0 of users and items is padding, as in RecBole.

    ptr: (num_users + 1,) int64, items: (n,) int64 from 1 on, with repeats; user 0 is padding and has no items.
    num_items: number of items, including padding. user_tokens, item_tokens: the original ids, by id, where known.

    Example::

        >>> sequences = Sequences(ptr=torch.tensor([0, 0, 3, 5]), items=torch.tensor([4, 1, 2, 2, 3]), num_items=5)
        >>> sequences
        Sequences(5 events, 3 users, 5 items)
        >>> sequences.of(2)
        tensor([2, 3])
    """

    ptr: Tensor
    items: Tensor
    num_items: int
    user_tokens: tuple[str, ...] | None = None
    item_tokens: tuple[str, ...] | None = None

    @classmethod
    def from_events(
        cls, users: Any, items: Any, times: Any = None, *, num_users: int | None = None, num_items: int | None = None
    ) -> Sequences:
        """Build from events (n,), (n,) in any order and their times (n,), or in the order of time without ``times``.

        users, items: integers from 1 on, since 0 is padding. Events of a user at the same time keep their given order.
        num_users, num_items: sizes including padding, by default one more than the largest id. O(n log n). Raises
        ValueError for ids out of range, for unequal lengths and for times that are not finite.

        Example::

            >>> Sequences.from_events([1, 2, 1], [5, 3, 2], times=[20, 10, 10]).of(1)
            tensor([2, 5])
        """
        users, items = read_ids("users", users), read_ids("items", items)
        if users.dim() != 1 or users.shape != items.shape:
            raise ValueError(
                f"'users' and 'items' must be vectors of one length, got {list(users.shape)} and {list(items.shape)}"
            )
        sizes = _size("users", num_users, users), _size("items", num_items, items)
        order = torch.arange(len(users)) if times is None else _by_time(times, len(users))
        order = order[users[order].argsort(stable=True)]
        ptr = torch.zeros(sizes[0] + 1, dtype=torch.long)
        torch.cumsum(torch.bincount(users, minlength=sizes[0]), 0, out=ptr[1:])
        return cls(ptr, items[order], sizes[1])

    @classmethod
    def from_interactions(cls, pairs: Interactions) -> Sequences:
        """Build from interactions that have the times of their events, as ``Interactions.from_dataframe`` builds them.

        Events of a user at the same time keep the order of their rows. If 0 is not padding, ids move up by one, and
        tokens with them; the token of 0 is "[PAD]". Raises ValueError for interactions without times.

        Example::

            >>> pairs = Interactions.from_tokens(["ann", "ann"], ["tea", "jam"], times=["2024-05-02", "2024-05-01"])
            >>> sequences = Sequences.from_interactions(pairs)
            >>> [sequences.item_tokens[item] for item in sequences.of(1)]
            ['jam', 'tea']
        """
        if pairs.times is None or pairs.rows is None:
            raise ValueError("'pairs' must know the times of events: build them with 'times', got none")
        order, shift = pairs.rows.argsort(stable=True), int(not pairs.padding)
        users, items = (each[order].cpu() + shift for each in pairs.events())
        sizes = {"num_users": pairs.num_users + shift, "num_items": pairs.num_items + shift}
        found = cls.from_events(users, items, pairs.times[order].cpu(), **sizes)
        first = ("[PAD]",) * shift
        tokens = (None if each is None else first + tuple(each) for each in (pairs.user_tokens, pairs.item_tokens))
        return cls(found.ptr, found.items, found.num_items, *tokens)

    @classmethod
    def from_arrays(cls, ptr: Any, items: Any, num_items: int | None = None, *, first: int = 1) -> Sequences:
        """Build from compressed rows: user u has ``items[ptr[u]:ptr[u + 1]]``, oldest first.

        first: the least id of both users and items, 0 or 1; with 0, all ids are moved up by one, since 0 is padding.
        num_items: number of items under the given ids, including padding where ``first`` is 1. Raises ValueError unless
        ``ptr`` rises from 0 to the length of ``items`` without a step back.
        """
        ptr, items = read_ids("ptr", ptr), read_ids("items", items)
        if first not in (0, 1):
            raise ValueError(f"'first' must be 0 or 1, the least id, got {first!r}")
        ends = (int(ptr[0]), int(ptr[-1])) if ptr.dim() == 1 and len(ptr) else None
        if items.dim() != 1 or ends != (0, len(items)) or bool((ptr.diff() < 0).any()):
            raise ValueError(
                f"'ptr' must lead from 0 to {items.numel()}, the length of 'items', and never step back, got "
                f"{ptr.tolist() if ptr.numel() < 9 else f'{ptr.numel()} numbers from {ends}'}"
            )
        if first == 1 and int(ptr[min(1, len(ptr) - 1)]):
            raise ValueError("user 0 must have no items where 'first' is 1, since 0 is padding: say first=0")
        users = torch.repeat_interleave(ptr.diff())
        shift, sizes = 1 - first, (len(ptr) - 1, num_items)
        known = [None if size is None else size + shift for size in sizes]
        return cls.from_events(users + shift, items + shift, num_users=known[0], num_items=known[1])

    @property
    def num_users(self) -> int:
        """Count the users, including padding."""
        return self.ptr.size(0) - 1

    def __len__(self) -> int:
        return self.items.size(0)

    def __repr__(self) -> str:
        return f"Sequences({len(self)} events, {self.num_users} users, {self.num_items} items)"

    def lengths(self) -> Tensor:
        """Count every user's events, (num_users,) int64."""
        return self.ptr.diff()

    def of(self, user: int) -> Tensor:
        """Return the items of one user, oldest first."""
        return self.items[int(self.ptr[user]) : int(self.ptr[user + 1])]


def _size(name: str, given: int | None, ids: Tensor) -> int:
    size = int(ids.max()) + 1 if given is None and ids.numel() else given
    size = check_number(f"num_{name}", 1 if size is None else size)
    check_ids(name, ids, size, padding=True)
    return size


def _by_time(times: Any, count: int) -> Tensor:
    """Return the order of events by time; equal times keep their order."""
    found = times if isinstance(times, Tensor) else torch.from_numpy(np.array(times))
    if found.shape != (count,):
        raise ValueError(f"'times' must hold one time an event, ({count},), got {tuple(found.shape)}")
    if found.is_floating_point() and not bool(found.isfinite().all()):
        raise ValueError(f"'times' must be finite, got {int((~found.isfinite()).sum())} that are not")
    return found.argsort(stable=True)
