"""Parts of the data: the rows of some nodes, and the edges between them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from graphkd.core.batches import batches, changed, count_rows, own_rows, with_ids
from graphkd.core.view import names


class Part:
    """The rows of some nodes, batch by batch, which say their nodes as ``n_id``; batches without such are left out."""

    def __init__(self, data: Any, ids: Tensor) -> None:
        self.data, self.ids = data, ids

    def __iter__(self) -> Iterator[Any]:
        for batch in batches(self.data):
            rows = self._rows(batch)
            if rows.numel():
                yield cut(batch, rows)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _rows(self, batch: Any) -> Tensor:
        """Of the whole graph the nodes in their given order, of a batch those of its own rows that are among them."""
        if "n_id" not in batch:
            return self.ids
        n_id: Tensor = batch["n_id"]
        return torch.isin(n_id, self.ids.to(n_id.device)).nonzero()[:, 0]


def part_of(data: Any, ids: Tensor) -> Any:
    """Take the rows of some nodes and the edges between them: of one graph at once, of a loader as batches come."""
    part = Part(data, ids)
    return next(iter(part)) if names(data) is not None else part


def cut(batch: Any, rows: Tensor) -> Any:
    """Take some rows of a batch, and the edges between them, numbered anew; entries of other sizes stay."""
    whole = with_ids(batch)
    count = count_rows(whole)
    edges = batch["edge_index"] if "edge_index" in batch else None  # noqa: SIM401 - a batch need not have get()
    entries: dict[str, Any] = {}
    if edges is not None:
        place = torch.full((count,), -1, dtype=torch.long, device=edges.device)
        place[rows.to(edges.device)] = torch.arange(rows.numel(), device=edges.device)
        moved = place[edges]
        kept = (moved >= 0).all(dim=0)
        entries["edge_index"] = moved[:, kept]
    for name in names(whole) or ():
        entry = whole[name]
        if name == "edge_index" or not isinstance(entry, Tensor) or not entry.dim():
            continue
        if edges is not None and name.startswith("edge_") and entry.size(0) == edges.size(1):
            entries[name] = entry[kept.to(entry.device)]
        elif entry.size(0) == count:
            entries[name] = entry[rows.to(entry.device)]
    if "num_nodes" in (names(batch) or ()):
        entries["num_nodes"] = rows.numel()
    if "batch_size" in batch:
        entries["batch_size"] = int((rows < own_rows(batch)).sum())
    return changed(whole, **entries)
