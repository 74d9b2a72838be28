"""Observed (user, item) pairs: who has taken what, sorted, without a dense matrix or Python sets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from recsys.data.ids import check_ids, check_number, read_ids

__all__ = ["Interactions", "Split", "check_ids", "check_same_ids", "check_sizes"]


@dataclass(frozen=True, eq=False)
class Interactions:
    """A set of (user, item) pairs as compressed rows.

    ptr: (num_users + 1,) int64, items: (nnz,) int32, ascending within a user. ``padding``: id 0 of users and items
    stands for nobody and nothing, as in RecBole; it is never sampled, listed or ranked. repeats: (nnz,) int32, how
    often each pair was taken, None where that is once.
    """

    ptr: Tensor
    items: Tensor
    num_users: int
    num_items: int
    padding: bool = False
    repeats: Tensor | None = None

    @classmethod
    def from_pairs(
        cls, users: Any, items: Any, num_users: int, num_items: int, *, padding: bool = False
    ) -> Interactions:
        """Build from pairs in any order, (n,) and (n,) integers: tensors, arrays, series or lists. O(n log n).

        A pair that comes several times is one pair, and ``repeats`` says how often. Pairs lie on the users' device.
        Raises ValueError for unequal lengths and for an id out of range, TypeError for ids that are no integers.
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
        keys, counts = torch.unique(users * num_items + items, return_counts=True)  # sorted; below 2**62
        rows = keys.div(max(num_items, 1), rounding_mode="floor")
        ptr = torch.zeros(num_users + 1, dtype=torch.long, device=users.device)
        torch.cumsum(torch.bincount(rows, minlength=num_users), 0, out=ptr[1:])
        repeats = counts.int() if keys.size(0) < users.size(0) else None
        return cls(ptr, (keys - rows * num_items).int(), num_users, num_items, padding, repeats)

    @staticmethod
    def load(path: str | Path) -> Interactions:
        """Read what ``save`` wrote; ValueError for a file that is damaged or holds something else."""
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
        """One number for every pair, user · num_items + item, (nnz,) int64, ascending."""
        return self.users() * self.num_items + self.items

    def users(self) -> Tensor:
        """The user of every pair, (nnz,) int64."""
        return torch.repeat_interleave(self.degrees())

    def pairs(self) -> tuple[Tensor, Tensor]:
        """Users and items of all pairs, (nnz,) and (nnz,) int64, by user, then by item."""
        return self.users(), self.items.long()

    def events(self) -> tuple[Tensor, Tensor]:
        """Users and items of all pairs, each as often as it was taken; otherwise as ``pairs``."""
        users, items = self.pairs()
        if self.repeats is None:
            return users, items
        return users.repeat_interleave(self.repeats), items.repeat_interleave(self.repeats)

    def degrees(self) -> Tensor:
        """How many items every user has, (num_users,) int64."""
        return self.ptr.diff()

    def counts(self) -> Tensor:
        """How many users every item has, (num_items,) int64."""
        return torch.bincount(self.items, minlength=self.num_items)

    def contains(self, users: Tensor, items: Tensor) -> Tensor:
        """Whether each pair is in the set, broadcast over both arguments; O(log nnz) a pair."""
        users, items = users.long(), items.long()
        wanted = users * self.num_items + items
        if not len(self):
            return torch.zeros_like(wanted, dtype=torch.bool)
        place = torch.searchsorted(self.keys, wanted).clamp_(max=len(self) - 1)
        return (self.keys[place] == wanted) & (items >= 0) & (items < self.num_items)

    def of(self, users: Tensor) -> tuple[Tensor, Tensor]:
        """The items of some users, (R,) -> row of each item in ``users`` (n,) int64, and the items (n,) int64."""
        starts, sizes = self.ptr[users], self.degrees()[users]
        rows = torch.repeat_interleave(sizes)
        first = (sizes.cumsum(0) - sizes)[rows]
        steps = torch.arange(rows.size(0), device=rows.device) - first
        return rows, self.items[starts[rows] + steps].long()

    def transpose(self) -> Interactions:
        """The same pairs by item: its users are these items."""
        users, items = self.events()
        return Interactions.from_pairs(items, users, self.num_items, self.num_users, padding=self.padding)

    def union(self, *others: Interactions) -> Interactions:
        """All pairs of several sets over the same users and items, on the first one's device; repeats add up."""
        for other in others:
            check_sizes("others", other, self)
        parts = [each.events() for each in (self, *others)]
        users, items = (torch.cat([part[side].to(self.ptr.device) for part in parts]) for side in (0, 1))
        return Interactions.from_pairs(users, items, self.num_users, self.num_items, padding=self.padding)

    def to(self, device: torch.device | str) -> Interactions:
        """The same pairs on another device."""
        repeats = None if self.repeats is None else self.repeats.to(device)
        return replace(self, ptr=self.ptr.to(device), items=self.items.to(device), repeats=repeats)


@dataclass(frozen=True)
class Split:
    """Training, validation and test pairs over the same ids, with the original ids (tokens) where they are known."""

    train: Interactions
    valid: Interactions
    test: Interactions
    user_tokens: tuple[str, ...] | None = None
    item_tokens: tuple[str, ...] | None = None


def check_sizes(name: str, got: Interactions, expected: Interactions) -> None:
    """Raise ValueError unless two sets have the same numbers of users and items, and both or neither a padding id."""
    facts = [(each.num_users, each.num_items, each.padding) for each in (got, expected)]
    if facts[0] != facts[1]:
        texts = [f"{users} users × {items} items{', padded' * padding}" for users, items, padding in facts]
        raise ValueError(f"'{name}' must be over {texts[1]}, got {texts[0]}")


def check_same_ids(teacher: Split, student: Split) -> None:
    """Raise ValueError that names the first difference unless both number users and items alike and train alike.

    Ids depend on the order in which a dataset was read: a teacher trained under other ids would teach noise, and one
    trained on another split has seen the student's test pairs.
    """
    check_sizes("teacher", teacher.train, student.train)
    for side in ("user", "item"):
        maps = getattr(teacher, f"{side}_tokens"), getattr(student, f"{side}_tokens")
        if None in maps or maps[0] == maps[1]:
            continue
        place = next(i for i, (one, other) in enumerate(zip(*maps, strict=True)) if one != other)
        raise ValueError(
            f"the teacher's {side} ids must be the student's, got {side} {place} = {maps[0][place]!r} for the teacher "
            f"and {maps[1][place]!r} for the student: build both from one dataset and one split"
        )
    if not torch.equal(teacher.train.keys.cpu(), student.train.keys.cpu()):
        missing = int((~student.train.contains(*teacher.train.pairs())).sum())
        raise ValueError(
            f"the teacher must be trained on the student's training pairs, got {missing} of {len(teacher.train)} pairs "
            "that the student does not train on: split once, and share the split"
        )
