"""Training batches of sequential recommenders: histories, the items after them, and the lists that methods ask for."""

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

    by: "positions" reads stretches of users' items, of whose positions each is a row, as a causal model can, in a pass
    for many rows (``SequenceRows.windows``); "rows" reads every history by itself, as RecBole does. A batch is a dict:
    ``sequences`` (B, L), padded on the right, ``lengths`` and ``owners`` (B,), as ``Histories``; of N rows, N = B by
    rows, ``rows``, their numbers from 1; ``at``, their places in the flat (B L) positions, by positions alone;
    ``targets``, also ``positives``, the next items; ``negatives``, one uniform item each but the target; ``users``, the
    numbers 0 … N-1, by which losses on tables find states; ``candidates`` (M,), ``shared`` uniform items, repeats and
    targets among them, where that is not None; and the entries of every source, which takes rows for users, from 1. All
    draws come from torch's global generator in the order of the batches, so that a resumed ``fit`` repeats them.

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
            "negatives": drawn + (drawn >= targets),  # all others alike
        }
        if self.shared is not None:
            batch["candidates"] = torch.randint(1, num_items, (self.shared,))
        return batch | self._listed(batch)

    def _listed(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """The entries of all sources, which know rows by number; their lists are of places in the batch."""
        if not self.sources:
            return {}
        ordered, order = batch["rows"].sort()
        asked = {"users": batch["rows"], "unique_users": ordered, "positives": batch["positives"]}
        places: dict[int, Tensor] = {}  # of one tensor one, by which a view knows lists of the same rows

        def placed(users: Tensor) -> Tensor:
            return places.setdefault(id(users), order[torch.searchsorted(ordered, users.to(ordered.device))])

        return {
            name: Lists(placed(entry.users), entry.items) if isinstance(entry, Lists) else entry
            for name, entry in self._entries(asked, batch)
        }
