"""Rows of a history and the item after it, their split, and windows that hold several rows of one user."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from recsys.data.interactions import Interactions, Split
from recsys.data.sequences import Sequences


class Histories(NamedTuple):
    """Histories as models read them: ``sequences`` (B, L) padded with 0 on the right, ``lengths`` and ``owners`` (B,).

    owners: user ids of the histories, for models that know users, such as Caser.
    """

    sequences: Tensor
    lengths: Tensor
    owners: Tensor


@dataclass(frozen=True, eq=False)
class SequenceRows:
    """Hold rows (history -> next item): the user and the event number of the next item, ``users`` and ``places`` (R,).

    Histories are cut to their latest ``max_length`` items and built on request: R + n numbers are stored, not R
    max_length. Rows are ascending by user and time.

    Example::

        >>> sequences = Sequences.from_arrays([0, 0, 5], [3, 1, 2, 4, 5])
        >>> rows = SequenceSplit.leave_one_out(sequences, max_length=2).train
        >>> rows.histories().sequences.tolist(), rows.targets.tolist()
        ([[3, 0], [3, 1]], [1, 2])
    """

    sequences: Sequences
    users: Tensor
    places: Tensor
    max_length: int

    def __len__(self) -> int:
        return self.users.size(0)

    @cached_property
    def targets(self) -> Tensor:
        """Return the item after each history, (R,) int64."""
        return self.sequences.items[self.places]

    @cached_property
    def lengths(self) -> Tensor:
        """Return the length of each history, at most ``max_length``: (R,) int64."""
        return (self.places - self.sequences.ptr[self.users]).clamp(max=self.max_length)

    def histories(self, rows: Tensor | None = None) -> Histories:
        """Build the histories of some rows (R,), by default of all: (R, max_length), lengths and owners (R,)."""
        columns = self.places, self.lengths, self.users
        places, lengths, users = (each if rows is None else each[rows] for each in columns)
        return Histories(_gathered(self.sequences.items, places - lengths, lengths, self.max_length), lengths, users)

    def seen(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return all earlier items of the users of some rows: place in ``rows`` of each (n,), and the items (n,)."""
        starts = self.sequences.ptr[self.users[rows]]
        counts = self.places[rows] - starts
        row = torch.repeat_interleave(counts)
        steps = torch.arange(row.size(0)) - (counts.cumsum(0) - counts)[row]
        return row, self.sequences.items[starts[row] + steps]

    @cached_property
    def pairs(self) -> Interactions:
        """Return rows as users and their targets as items, ids from 1: the form that samplers of lists take."""
        ids = torch.arange(1, len(self) + 1)
        return Interactions.from_pairs(ids, self.targets, len(self) + 1, self.sequences.num_items, padding=True)

    @cached_property
    def windows(self) -> Windows:
        """Cut each user's rows into stretches of at most ``max_length``, from the latest on; every row is in one."""
        if not len(self):
            return Windows(self, *(torch.zeros(0, dtype=torch.long) for _ in range(2)))
        counts = torch.bincount(self.users, minlength=self.sequences.num_users)
        after = counts.cumsum(0)[self.users] - 1 - torch.arange(len(self))  # later rows of the user
        stretch = torch.stack([self.users, -(after.div(self.max_length, rounding_mode="floor"))])
        _, sizes = stretch.unique_consecutive(dim=1, return_counts=True)
        return Windows(self, sizes.cumsum(0) - sizes, sizes)


@dataclass(frozen=True, eq=False)
class Windows:
    """Windows of successive rows: the first row of each window, and its number of rows, (W,) int64 both."""

    rows: SequenceRows
    first: Tensor
    counts: Tensor

    def __len__(self) -> int:
        return self.first.size(0)

    def histories(self, windows: Tensor) -> Histories:
        """Gather the items of some windows, (W,) -> (W, longest): the history of a window's row p ends at place p."""
        counts = self.counts[windows]
        first, width = self.first[windows], max(int(counts.max()), 1)
        found = _gathered(self.rows.sequences.items, self.rows.places[first] - 1, counts, width)
        return Histories(found, counts, self.rows.users[first])

    def members(self, windows: Tensor) -> tuple[Tensor, Tensor]:
        """Return the rows of some windows, and their places in the flat positions of ``histories``: (n,) int64 each."""
        counts = self.counts[windows]
        window = torch.repeat_interleave(counts)
        step = torch.arange(window.size(0)) - (counts.cumsum(0) - counts)[window]
        return self.first[windows][window] + step, window * max(int(counts.max()), 1) + step


def _gathered(items: Tensor, starts: Tensor, lengths: Tensor, width: int) -> Tensor:
    """Gather stretches of items, padded with 0 on the right: (B, width)."""
    steps = torch.arange(width)
    inside = steps < lengths[:, None]
    found = items[(starts[:, None] + steps).clamp_(max=max(len(items) - 1, 0))] if len(items) else inside.long()
    return found * inside


@dataclass(frozen=True)
class SequenceSplit:
    """Hold training, validation and test rows over the same sequences.

    As RecBole's ``LS: valid_and_test`` over rows: a user with n items has n - 1 rows; the last row tests, the one
    before validates, the others train. A user with 3 items has one training and one test row, a user with 2 items one
    training row, a user with 1 item none. The history of a test row includes the validation item.

    Example::

        >>> split = SequenceSplit.leave_one_out(Sequences.from_arrays([0, 0, 4], [3, 1, 2, 4]), max_length=2)
        >>> split.train.targets, split.valid.targets, split.test.targets
        (tensor([1]), tensor([2]), tensor([4]))
        >>> split.test.histories().sequences  # the latest two items before the target
        tensor([[1, 2]])
    """

    sequences: Sequences
    train: SequenceRows
    valid: SequenceRows
    test: SequenceRows

    @classmethod
    def leave_one_out(cls, sequences: Sequences, max_length: int = 50) -> SequenceSplit:
        """Split off each user's last item to test and the one before to validate; ValueError where no row trains.

        max_length: number of latest items that the history of a row keeps.
        """
        if isinstance(max_length, bool) or not isinstance(max_length, int) or max_length < 1:
            raise ValueError(f"'max_length' must be a positive integer, got {max_length!r}")
        parts = [places.nonzero().squeeze(1) for places in _parts(sequences)]
        if not len(parts[0]):
            longest = int(sequences.lengths().max()) if sequences.num_users else 0
            raise ValueError(
                f"a user must have two items at least for a row to train on, the longest of {sequences} has {longest}"
            )
        users = torch.repeat_interleave(sequences.lengths())
        return cls(sequences, *(SequenceRows(sequences, users[rows], rows, max_length) for rows in parts))

    @property
    def num_items(self) -> int:
        """Count the items, including padding."""
        return self.sequences.num_items

    @property
    def max_length(self) -> int:
        """Return the greatest length of a history."""
        return self.train.max_length

    def whole_training(self) -> SequenceRows:
        """Build one row for every user with training items: all of them as history, the next item as target."""
        counts = torch.bincount(self.train.users, minlength=self.sequences.num_users)
        users = counts.nonzero().squeeze(1)
        return SequenceRows(self.sequences, users, self.sequences.ptr[users] + counts[users] + 1, self.max_length)

    def pairs(self) -> Split:
        """Return the split as unordered pairs, for general recommenders; all events but held-out targets train."""
        seq = self.sequences
        users = torch.repeat_interleave(seq.lengths())
        held = torch.zeros(len(seq), dtype=torch.bool)
        held[torch.cat([self.valid.places, self.test.places])] = True
        parts = ((users[~held], seq.items[~held]), *((rows.users, rows.targets) for rows in (self.valid, self.test)))
        sizes = seq.num_users, seq.num_items
        train, valid, test = (Interactions.from_pairs(*part, *sizes, padding=True) for part in parts)
        return Split(train, valid, test, seq.user_tokens, seq.item_tokens)


def _parts(sequences: Sequences) -> tuple[Tensor, Tensor, Tensor]:
    """Tell which events are targets of training, validation and test rows, (n,) bool."""
    users, counts = torch.repeat_interleave(sequences.lengths()), sequences.lengths() - 1  # rows of each user
    place = torch.arange(len(sequences)) - sequences.ptr[users]
    left = counts[users] - place  # later rows of the user
    tests, validates = ((place > 1) & (left == later) for later in (0, 1))
    return (place > 0) & ~tests & ~validates, validates, tests
