"""Batches, single or from a loader: iteration, rows by node id, and changes to batches as they are drawn."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from graphkd.core.by_name import Batch, entry, lookup, names, node_types
from graphkd.core.hooks import has_state


def batches(data: Batch | Iterable[Batch]) -> Iterator[Any]:
    """Iterate over ``data`` once: a single batch yields itself, a loader its batches."""
    if names(data) is not None:
        yield data
    else:
        yield from data  # type: ignore[misc]


def first_batch(data: Batch | Iterable[Batch]) -> Any:
    """Draw the first batch; ValueError where there is none."""
    for batch in batches(data):
        return batch
    raise ValueError("'data' must give at least one batch, got none")


def changed(batch: Batch, /, **entries: Any) -> Any:
    """Copy a batch shallowly with entries replaced or added; the batch itself is unchanged."""
    other: Any = copy.copy(batch)
    for name, value in entries.items():
        other[name] = value
    return other


def on_device(batch: Any, device: torch.device) -> Any:
    """Copy a batch to a device, with mappings and sparse matrices in it; return it unchanged if all of it is there."""
    if node_types(batch):
        return copy.copy(batch).to(device)  # PyG's Data.to() works in place
    held = {name: batch[name] for name in names(batch) or ()}
    moved = {name: other for name, value in held.items() if (other := _moved(value, device)) is not value}
    return changed(batch, **moved) if moved else batch


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, Mapping):
        parts = {name: _moved(part, device) for name, part in value.items()}
        return parts if any(part is not value[name] for name, part in parts.items()) else value
    is_sparse = hasattr(value, "sparse_sizes") and callable(getattr(value, "device", None))  # torch_sparse's
    return value.to(device) if is_sparse and value.device() != device else value


def count_rows(batch: Batch) -> int:
    """Count the rows of a batch: those of ``n_id``, ``x`` or ``y``, whichever it has first."""
    for found in lookup(batch, ("n_id", "x", "y")).values():
        return int(found.size(0))
    raise ValueError(f"a batch must have 'n_id', 'x' or 'y', for its rows to be counted; it has {names(batch)}")


def node_ids(batch: Batch) -> Tensor:
    """Return the node ids of a batch's rows: its ``n_id``, or numbers from 0 on, (n,)."""
    if "n_id" in batch:
        ids: Tensor = batch["n_id"]
        return ids
    device = next((found.device for found in lookup(batch, ("x", "y")).values()), torch.device("cpu"))
    return torch.arange(count_rows(batch), device=device)


def with_ids(batch: Batch) -> Any:
    """Give a batch the ids of its rows: its own ``n_id``, or numbers from 0 on."""
    return batch if "n_id" in batch else changed(batch, n_id=node_ids(batch))


def own_rows(batch: Batch) -> int:
    """Count the rows whose answers a batch determines: the seeds of a neighbour-sampled batch, else all rows."""
    _, seeds = sampled(batch)
    return count_rows(batch) if seeds is None else seeds


def sampled(batch: Any) -> tuple[Tensor | None, int | None]:
    """Return the roots of a batch of PyG's ``ShaDowKHopSampler``, or the number of seeds at the head of a sampled one.

    Returns (roots, None), (None, seeds), or (None, None) where a batch is not sampled. In a batch of graphs
    ``batch_size`` counts graphs, not seeds, and is ignored.
    """
    known = lookup(batch, ("root_n_id", "batch_size")) if node_types(batch) else None
    roots, count = (entry(batch, n) if known is None else known.get(n) for n in ("root_n_id", "batch_size"))
    if roots is not None or count is None or hasattr(batch, "num_graphs"):
        return roots, None
    return None, int(count) if not isinstance(count, Tensor) or count.numel() == 1 else None


def rows_of(values: Tensor, ids: Tensor) -> Tensor:
    """Select rows of values, (N, ...); those of a sparse matrix are returned dense."""
    ids = ids.to(values.device)
    if values.layout == torch.strided:
        return values[ids]
    return (values if values.layout == torch.sparse_coo else values.to_sparse_coo()).index_select(0, ids).to_dense()


class Mapped:
    """Loader that applies a function to each batch of ``data`` when drawn; passes epochs and state on to ``data``."""

    def __init__(self, data: Batch | Iterable[Batch], function: Callable[[Any], Any]) -> None:
        self.data: Any = data
        self.function = function

    def __iter__(self) -> Iterator[Any]:
        for batch in batches(self.data):
            yield self.function(batch)

    def __len__(self) -> int:
        return 1 if names(self.data) is not None else len(self.data)

    def set_epoch(self, epoch: int, epochs: int) -> None:
        """Pass the epoch on to ``data``, if it has ``set_epoch``."""
        tell = getattr(self.data, "set_epoch", None)
        if tell is not None:
            tell(epoch, epochs)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of ``data``, if it has any."""
        return self.data.state_dict() if has_state(self.data) else {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state of ``data`` from ``state_dict``."""
        if has_state(self.data):
            self.data.load_state_dict(state)


def mapped(data: Any, function: Callable[[Any], Any]) -> Any:
    """Apply a function to a single batch now, or to a loader's batches as they are drawn."""
    return function(data) if names(data) is not None else Mapped(data, function)


def positions(batch: Batch, ids: Tensor) -> Tensor:
    """Find the rows of a batch whose nodes are among ``ids``, repeats kept; of a sampled batch, only its seeds.

    A batch without ``n_id`` is the whole graph, where ids are row numbers: ``ids`` are returned unchanged.
    """
    if "n_id" not in batch:
        return ids
    own: Tensor = batch["n_id"][: own_rows(batch)]
    counts = torch.bincount(ids.to(own.device), minlength=int(own.max()) + 1 if own.numel() else 1)[own]
    return torch.repeat_interleave(torch.arange(own.numel(), device=own.device), counts)
