"""Training batches of sequential recommenders: histories, the items after them, and the lists that methods need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from graphkd.losses._checks import choose
from recsys.data.lists import Lists
from recsys.data.sequence_rows import SequenceRows
from recsys.data.source import Source, WithSources

By = Literal["positions", "rows"]


class SequenceBatches(WithSources):
    """Iterate over all training rows in random order, with negatives and the lists of the sources.

    by: "positions" reads stretches of users' items, in which each position is a row; a causal model scores all of them
    in one pass (``SequenceRows.windows``). "rows" reads every history separately, as RecBole does. A batch of B
    sequences and N rows (by rows, N = B) is a dict: ``sequences`` (B, L), padded with 0 on the right, ``lengths`` and
    ``owners`` (B,), as ``Histories``; ``rows`` (N,), their numbers from 1; ``at`` (N,), only by positions, the places
    of rows in the flat (B L) positions; ``targets``, also as ``positives``, the next items (N,); ``negatives`` (N,), a
    uniform item other than the target; ``users``, the numbers 0 … N-1, by which losses on tables look up states;
    ``candidates`` (M,), if ``shared`` = M is given, uniform items that may repeat or be targets; and the entries of
    every source, for which rows, numbered from 1, stand for users. All draws come from torch's global generator in the
    order of the batches, so that a resumed ``fit`` repeats them.

    Example::

        >>> from recsys.data import Sequences, SequenceSplit
        >>> rows = SequenceSplit.leave_one_out(Sequences.from_arrays([0, 0, 5], [3, 1, 2, 4, 5])).train
        >>> batch = next(iter(SequenceBatches(rows, by="positions")))
        >>> batch["sequences"].tolist(), batch["targets"].tolist()  # one history, two rows
        ([[3, 1]], [1, 2])
    """

    def __init__(
        self,
        rows: SequenceRows,
        *,
        batch_size: int = 256,
        by: By = "positions",
        shared: int | None = None,
        sources: Mapping[str, Source] | None = None,
    ) -> None:
        if batch_size < 1 or (shared is not None and shared < 1):
            raise ValueError(f"'batch_size' and 'shared' must be at least 1, got {batch_size} and {shared}")
        if rows.sequences.num_items < 3:
            raise ValueError(f"there must be two items at least, padding apart, got {rows.sequences.num_items - 1}")
        self.rows, self.batch_size, self.by, self.shared = (
            rows,
            batch_size,
            choose("by", by, ("positions", "rows")),
            shared,
        )
        self.sources = dict(sources or {})
        self._size = len(rows.windows) if by == "positions" else len(rows)

    def __len__(self) -> int:
        return -(-self._size // self.batch_size)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for source in self.sources.values():
            source.resample()
        for ids in torch.randperm(self._size).split(self.batch_size):
            yield self._batch(ids)

    def _batch(self, ids: Tensor) -> dict[str, Any]:
        batch: dict[str, Any] = {}
        rows = ids
        if self.by == "positions":
            rows, batch["at"] = self.rows.windows.members(ids)
        histories = self.rows.windows.histories(ids) if self.by == "positions" else self.rows.histories(ids)
        targets, num_items = self.rows.targets[rows], self.rows.sequences.num_items
        drawn = torch.randint(1, num_items - 1, targets.shape)
        batch |= {
            **histories._asdict(),
            "rows": rows + 1,
            "users": torch.arange(len(rows)),
            "targets": targets,
            "positives": targets,
            "negatives": drawn + (drawn >= targets),  # uniform over all items but the target
        }
        if self.shared is not None:
            batch["candidates"] = torch.randint(1, num_items, (self.shared,))
        return batch | self._listed(batch)

    def _listed(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Return the entries of all sources, which get row numbers for users; their lists get places in the batch."""
        if not self.sources:
            return {}
        ordered, order = batch["rows"].sort()
        asked = {"users": batch["rows"], "unique_users": ordered, "positives": batch["positives"]}
        places: dict[int, Tensor] = {}  # of one tensor one, by which a view recognises lists of the same rows

        def placed(users: Tensor) -> Tensor:
            return places.setdefault(id(users), order[torch.searchsorted(ordered, users.to(ordered.device))])

        return {
            name: Lists(placed(entry.users), entry.items) if isinstance(entry, Lists) else entry
            for name, entry in self._entries(asked, batch)
        }
