"""Observed (user, item) pairs: who has taken what, sorted, without a dense matrix or Python sets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Interactions:
    """A set of (user, item) pairs as compressed rows.

    ptr: (num_users + 1,) int64, items: (nnz,) int32, ascending within a user. ``padding``: id 0 of users and items
    stands for nobody and nothing, as in RecBole; it is never sampled, listed or ranked.
    """

    ptr: Tensor
    items: Tensor
    num_users: int
    num_items: int
    padding: bool = False

    @classmethod
    def from_pairs(
        cls, users: Tensor, items: Tensor, num_users: int, num_items: int, *, padding: bool = False
    ) -> Interactions:
        """Build from pairs in any order, (nnz,) and (nnz,); repeated pairs count once. O(nnz log nnz).

        Raises ValueError for unequal lengths and for an id out of range, TypeError for ids that are no integers.
        """
        if users.shape != items.shape or users.dim() != 1:
            raise ValueError(
                f"'users' and 'items' must be vectors of one length, got {list(users.shape)} and {list(items.shape)}"
            )
        check_ids("users", users, num_users, padding)
        check_ids("items", items, num_items, padding)
        keys = torch.unique(users.long() * num_items + items.long())  # sorted
        rows = keys.div(max(num_items, 1), rounding_mode="floor")
        ptr = torch.zeros(num_users + 1, dtype=torch.long, device=users.device)
        torch.cumsum(torch.bincount(rows, minlength=num_users), 0, out=ptr[1:])
        return cls(ptr, (keys - rows * num_items).int(), num_users, num_items, padding)

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

    def degrees(self) -> Tensor:
        """How many items every user has, (num_users,) int64."""
        return self.ptr.diff()

    def counts(self) -> Tensor:
        """How many users every item has, (num_items,) int64."""
        return torch.bincount(self.items, minlength=self.num_items)

    def contains(self, users: Tensor, items: Tensor) -> Tensor:
        """Whether each pair is in the set, broadcast over both arguments; O(log nnz) a pair."""
        wanted = users.long() * self.num_items + items.long()
        if not len(self):
            return torch.zeros_like(wanted, dtype=torch.bool)
        place = torch.searchsorted(self.keys, wanted).clamp_(max=len(self) - 1)
        return self.keys[place] == wanted

    def of(self, users: Tensor) -> tuple[Tensor, Tensor]:
        """The items of some users, (R,) -> row of each item in ``users`` (n,) int64, and the items (n,) int64."""
        starts, sizes = self.ptr[users], self.degrees()[users]
        rows = torch.repeat_interleave(sizes)
        first = (sizes.cumsum(0) - sizes)[rows]
        steps = torch.arange(rows.size(0), device=rows.device) - first
        return rows, self.items[starts[rows] + steps].long()

    def transpose(self) -> Interactions:
        """The same pairs by item: its users are these items."""
        users, items = self.pairs()
        return Interactions.from_pairs(items, users, self.num_items, self.num_users, padding=self.padding)

    def union(self, *others: Interactions) -> Interactions:
        """All pairs of several sets over the same users and items."""
        for other in others:
            check_sizes("others", other, self)
        parts = [each.pairs() for each in (self, *others)]
        users, items = (torch.cat([part[side] for part in parts]) for side in (0, 1))
        return Interactions.from_pairs(users, items, self.num_users, self.num_items, padding=self.padding)

    def to(self, device: torch.device | str) -> Interactions:
        """The same pairs on another device."""
        return replace(self, ptr=self.ptr.to(device), items=self.items.to(device))


@dataclass(frozen=True)
class Split:
    """Training, validation and test pairs over the same ids, with the original ids (tokens) where they are known."""

    train: Interactions
    valid: Interactions
    test: Interactions
    user_tokens: tuple[str, ...] | None = None
    item_tokens: tuple[str, ...] | None = None


def check_ids(name: str, ids: Tensor, size: int, padding: bool = False) -> None:
    """Raise an error that names the argument and its first id outside [0, size), or [1, size) where 0 is padding."""
    if ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool:
        raise TypeError(f"'{name}' must hold integer ids, got {ids.dtype}")
    wrong = ((ids < int(padding)) | (ids >= size)).nonzero()
    if wrong.numel():
        place = tuple(wrong[0].tolist())
        note = " (0 is padding)" if padding else ""
        raise ValueError(
            f"'{name}' must hold ids from {int(padding)} to {size - 1}{note}, got {int(ids[place])} at position "
            f"{place[0] if len(place) == 1 else place}; {wrong.size(0)} ids are out of range"
        )


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
