"""Graph of a cached view: checks that it is unchanged, and that a batch is this graph or has some of its rows."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from graphkd.core.by_name import Batch, names
from graphkd.core.identity import Marks, same_content
from graphkd.core.ids import IDS, check_range, inputs, row_ids
from graphkd.core.masks import read_labels, read_mask

_HANDFUL = 8  # rows of a later batch that are compared
_NUMBERED = ("edge", "adj", "batch", "index", "ptr")  # in names of entries without node rows, or renumbered in parts


class StoredGraph:
    """Graph of a cached view as long as it stays unchanged; a changed graph needs another object.

    wanted: names of the entries that the model reads, None for all. The graph of a loader is its ``data``; it is
    unknown where the loader has none, or changes its batches by a ``transform``.
    """

    def __init__(self, data: Any, wanted: Sequence[str] | None) -> None:
        self.data, self._wanted = data, wanted
        self.graph: Any = data if names(data) is not None else _graph_of(data)
        self._marks = None if self.graph is None else Marks(inputs(self.graph, wanted))
        self._known: deque[Marks] = deque(maxlen=4)  # of batches that were found to be the graph
        self._ids: tuple[Tensor, Tensor] | tuple[()] | None = None  # the graph's own, sorted, and their rows
        self._compared = False  # whether all rows of one batch have been compared

    def is_unchanged(self) -> bool:
        """Tell whether nobody has written into the graph, or replaced its entries."""
        return self._marks is None or self._marks.holds(inputs(self.graph, self._wanted))

    def is_whole(self, batch: Batch) -> bool:
        """Tell whether a batch holds the same inputs as the graph; compared once per set of living tensors."""
        if batch is self.data or names(self.data) is None:
            return batch is self.data
        found, own = inputs(batch, self._wanted), inputs(self.data, self._wanted)
        if any(marks.holds(found) for marks in self._known):
            return True
        marks, found, own = Marks(found), _of_one_graph(found), _of_one_graph(own)
        if not own.keys() <= found.keys() or (self._wanted is not None and own.keys() != found.keys()):
            return False
        if not all(self._is_same(name, own[name], found[name]) for name in own):
            return False
        self._known.append(marks)
        return True

    def _is_same(self, name: str, own: Any, other: Any) -> bool:
        if same_content(own, other):
            return True
        both = isinstance(own, Tensor) and isinstance(other, Tensor)
        return self._wanted is None and both and _is_form_of(name, own, other)

    def rows(self, batch: Batch, name: str, count: int) -> Tensor:
        """Find which of ``count`` cached rows a batch has, by ids; ValueError where its inputs are of other rows."""
        ids, own = row_ids(batch, name), self._own_ids(name)
        if own is None or names(self.data) is None:  # a loader's rows are kept by their ids
            check_range(ids, count, name, "the rows of the Cached teacher's graph")
        places = ids if own is None else _found(ids, *own, name)
        if name == "n_id":
            self._check_inputs(batch, places, count)
        return ids if names(self.data) is None else places

    def _own_ids(self, name: str) -> tuple[Tensor, Tensor] | None:
        """Return sorted ids and their rows, where the graph has ids that are not its row numbers."""
        if self._ids is None:
            self._ids = ()
            if self.graph is not None and name in self.graph:
                ids, rows = row_ids(self.graph, name).sort()
                if bool((ids.diff() == 0).any()):
                    raise ValueError(f"{name!r} of the Cached teacher's graph must be one for each row, got some twice")
                if not torch.equal(rows, ids):
                    self._ids = (ids, rows)
        return self._ids or None

    def _check_inputs(self, batch: Batch, places: Tensor, count: int) -> None:
        """Raise ValueError where inputs differ from the graph's; checks all rows of the first batch, later a handful.

        On other devices than the CPU later batches are not checked, to avoid a synchronisation. A batch with an entry
        ``augmented``, whose inputs were changed on purpose, is never compared.
        """
        if getattr(batch, "num_graphs", None) == places.size(0):
            return  # ids of graphs, under the name of nodes
        read = ("x",) if self._wanted is None else self._wanted
        rows = {name: batch[name] for name in read if _is_of_rows(name) and name in batch and _has_rows(batch[name])}
        own = {name: self.graph[name] for name in rows if self.graph is not None and name in self.graph}
        own = {name: value for name, value in own.items() if _has_rows(value) and value.size(0) == count}
        for name, value in rows.items():
            if value.size(0) != places.size(0) and (name in own or name == "x"):
                raise ValueError(
                    f"'n_id' must be one for each of the {value.size(0)} rows of the batch's {name!r}, got "
                    f"{places.size(0)}"
                )
        if "augmented" in batch or (self._compared and places.device.type != "cpu"):
            return
        step = max(1, -(-places.size(0) // _HANDFUL)) if self._compared else 1
        for name, value in own.items():
            if not _are_equal(value[places[::step].to(value.device)], rows[name][::step]):
                raise ValueError(
                    f"'n_id' must be ids of the graph that the Cached teacher was made for, whose {name!r} has other "
                    f"values in these rows: {_ANEW} For inputs that were changed on purpose, give the batch an entry "
                    "'augmented', or use Frozen, which is asked about the batch as it is"
                )
        self._compared = self._compared or places.numel() > 0


_ANEW = (
    "nodes of a part were numbered anew (hold_out, subgraph, k_hop_subgraph, an order of METIS), or features changed. "
    "Give the part its nodes' ids in the whole graph, part.n_id = mask.nonzero()[:, 0], or make a Cached teacher of "
    "the part."
)


def _found(ids: Tensor, known: Tensor, rows: Tensor, name: str) -> Tensor:
    """Find the rows of ids among the known ones, which are sorted; ValueError for others."""
    known = known.to(ids.device)
    places = torch.searchsorted(known, ids).clamp_max(known.numel() - 1)
    if not torch.equal(known[places], ids):
        strange = ids[known[places] != ids][:5].tolist()
        raise ValueError(f"{name!r} must be among the {name!r} of the Cached teacher's graph, got {strange}: {_ANEW}")
    return rows.to(ids.device)[places]


def _graph_of(loader: Any) -> Any:
    graph = getattr(loader, "data", None)
    return graph if names(graph) is not None and getattr(loader, "transform", None) is None else None


def _of_one_graph(found: dict[str, Any]) -> dict[str, Any]:
    """Return inputs without the extras of a single graph's batch: its ``batch`` of zeros, its number of graphs."""
    batch, count = found.get("batch"), found.get("num_graphs")
    alone = {"batch"} if isinstance(batch, Tensor) and not bool(batch.any()) else set()
    alone |= {"num_graphs"} if isinstance(count, int) and count == 1 else set()
    return {name: value for name, value in found.items() if name not in alone}


def _is_of_rows(name: str) -> bool:
    """Tell whether an input of this name may have one row a node, in parts of a graph as in the whole."""
    return name not in IDS and not any(part in name for part in _NUMBERED)


def _has_rows(value: Any) -> bool:
    return isinstance(value, Tensor) and value.layout == torch.strided and value.dim() > 0


def _are_equal(own: Tensor, other: Tensor) -> bool:
    """Tell whether the graph's rows equal the batch's, which may hold them in another floating-point dtype."""
    if own.is_floating_point() and other.is_floating_point():
        own = own.to(other.dtype)
    return same_content(own, other)


def _is_form_of(name: str, own: Tensor, other: Tensor) -> bool:
    """Tell whether labels or a split only changed their form, as tasks do; models are not called with them."""
    try:
        if name == "y":
            return same_content(read_labels(own), read_labels(other.to(own.device)))
        if not name.endswith("_mask") or other.dtype != torch.bool or other.dim() != 1:
            return False
        columns = range(own.size(1)) if own.dim() == 2 else (None,)
        return any(
            same_content(read_mask(own, other.size(0), name, split=column), other.to(own.device)) for column in columns
        )
    except (TypeError, ValueError):
        return False
