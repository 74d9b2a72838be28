"""Ids of rows: which nodes of a graph, or which graphs of a set, the rows of a batch are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from graphkd.core.by_name import Batch, lookup, names, node_types

IDS = ("n_id", "graph_id")  # of nodes, and of graphs
_INTEGERS = (torch.int64, torch.int32)


def inputs(batch: Any, wanted: Sequence[str] | None) -> dict[str, Any]:
    """Return the wanted entries of a batch, None for all, but never its ids; of ``HeteroData`` by type."""
    if wanted is None:
        found = batch.to_dict() if node_types(batch) else {name: batch[name] for name in names(batch) or ()}
    else:
        found = lookup(batch, wanted)
    return {name: value for name, value in found.items() if name not in IDS}


def ids_of(view_rows: int, batch: Batch) -> str:
    """Name the ids of a view's rows: ``graph_id`` where the view has one row for each of these, else ``n_id``."""
    counts = {name: batch[name].size(0) for name in IDS if name in batch and isinstance(batch[name], Tensor)}
    return "graph_id" if counts.get("graph_id") == view_rows and counts.get("n_id") != view_rows else "n_id"


def row_ids(batch: Batch, name: str) -> Tensor:
    """Read a batch's ids as int64, (n,); TypeError or ValueError where they are not ids, or not one per row."""
    ids: Any = batch[name]
    if not isinstance(ids, Tensor) or ids.dtype not in _INTEGERS:
        got = ids.dtype if isinstance(ids, Tensor) else type(ids).__name__
        raise TypeError(f"{name!r} must be ids, a tensor of torch.long, got {got}: give {name}.long() if they are")
    if ids.dim() != 1:
        raise ValueError(f"{name!r} must be (n,), got {tuple(ids.shape)}: give {name}.flatten()")
    count = getattr(batch, "num_graphs", None) if name == "graph_id" else None
    if count is not None and count != ids.size(0):
        raise ValueError(f"'graph_id' must be one for each of the {count} graphs of the batch, got {ids.size(0)}")
    return ids.long()


def check_range(ids: Tensor, count: int, name: str, of: str) -> None:
    """Raise ValueError where ids are not from 0 to ``count`` - 1; waits for the device."""
    if not ids.numel():
        return
    low, high = (int(end) for end in ids.aminmax())
    if low < 0 or high >= count:
        raise ValueError(f"{name!r} must be from 0 to {count - 1}, {of}, got {low} to {high}")
