"""One batch or any loader of them: going through either, rows by node id, and batches changed as they are drawn."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from graphkd.core.by_name import Batch, entry, lookup, names, node_types
from graphkd.core.hooks import has_state


def batches(data: Batch | Iterable[Batch]) -> Iterator[Any]:
    """Go once through ``data``: the one batch that it is, or a loader's batches."""
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
    """Copy a batch, shallowly, with other entries; the batch itself stays."""
    other: Any = copy.copy(batch)
    for name, value in entries.items():
        other[name] = value
    return other


def on_device(batch: Any, device: torch.device) -> Any:
    """Copy a batch to a device, containers and sparse matrices in it too; the batch itself where all of it is there."""
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
    """Ids of the nodes that a batch's rows are about: its ``n_id``, or numbers from 0 on, (n,)."""
    if "n_id" in batch:
        ids: Tensor = batch["n_id"]
        return ids
    device = next((found.device for found in lookup(batch, ("x", "y")).values()), torch.device("cpu"))
    return torch.arange(count_rows(batch), device=device)


def with_ids(batch: Batch) -> Any:
    """Make a batch say which rows it has: its own ``n_id``, or numbers from 0 on."""
    return batch if "n_id" in batch else changed(batch, n_id=node_ids(batch))


def own_rows(batch: Batch) -> int:
    """Count the rows that a batch answers for: the seeds of a neighbour-sampled one, else all."""
    _, seeds = sampled(batch)
    return count_rows(batch) if seeds is None else seeds


def sampled(batch: Any) -> tuple[Tensor | None, int | None]:
    """The roots of a batch of PyG's ``ShaDowKHopSampler``, or how many rows at a sampled one's head are its seeds.

    Neither where a batch is not sampled; how many graphs a batch has says nothing of rows.
    """
    known = lookup(batch, ("root_n_id", "batch_size")) if node_types(batch) else None
    roots, count = (entry(batch, n) if known is None else known.get(n) for n in ("root_n_id", "batch_size"))
    if roots is not None or count is None or hasattr(batch, "num_graphs"):
        return roots, None
    return None, int(count) if not isinstance(count, Tensor) or count.numel() == 1 else None


def rows_of(values: Tensor, ids: Tensor) -> Tensor:
    """Take rows of values, (N, ...); those of a sparse matrix come dense."""
    ids = ids.to(values.device)
    if values.layout == torch.strided:
        return values[ids]
    return (values if values.layout == torch.sparse_coo else values.to_sparse_coo()).index_select(0, ids).to_dense()


class Mapped:
    """``data`` with every batch put through a function as it is drawn; epochs and state go through to ``data``."""

    def __init__(self, data: Batch | Iterable[Batch], function: Callable[[Any], Any]) -> None:
        self.data: Any = data
        self.function = function

    def __iter__(self) -> Iterator[Any]:
        for batch in batches(self.data):
            yield self.function(batch)

    def __len__(self) -> int:
        return 1 if names(self.data) is not None else len(self.data)

    def set_epoch(self, epoch: int, epochs: int) -> None:
        """Tell ``data`` how far training is, if it wants to know."""
        tell = getattr(self.data, "set_epoch", None)
        if tell is not None:
            tell(epoch, epochs)

    def state_dict(self) -> dict[str, Any]:
        """What ``data`` must go on with, if it keeps anything."""
        return self.data.state_dict() if has_state(self.data) else {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where ``state_dict`` left off."""
        if has_state(self.data):
            self.data.load_state_dict(state)


def mapped(data: Any, function: Callable[[Any], Any]) -> Any:
    """Put one batch through a function now, a loader's batches as they are drawn."""
    return function(data) if names(data) is not None else Mapped(data, function)


def positions(batch: Batch, ids: Tensor) -> Tensor:
    """Rows of a batch whose nodes are among ``ids``, as often as they stand there; of a sampled batch its seeds alone.

    A batch without ``n_id`` is the whole graph, whose rows are the ids themselves, in their order.
    """
    if "n_id" not in batch:
        return ids
    own: Tensor = batch["n_id"][: own_rows(batch)]
    counts = torch.bincount(ids.to(own.device), minlength=int(own.max()) + 1 if own.numel() else 1)[own]
    return torch.repeat_interleave(torch.arange(own.numel(), device=own.device), counts)
