"""Fetch the neighbourhood of a few nodes of a large graph that a GNN needs to answer for these nodes."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphkd.core.adjacency import edge_index_of
from graphkd.core.entering import Entering, Numbers
from graphkd.core.ids import check_range


@dataclass(frozen=True)
class Neighbourhood:
    """Store a part of a graph, in local numbers.

    nodes: (n,) ids of its nodes in the whole graph, the requested nodes first. edge_index: (2, E) its edges, sources
    first, as rows of ``nodes``, grouped by target. place: (B,) rows of the requested nodes, repeats included. hops: how
    far it reaches. complete: True if all edges were followed, False with draws from them. found: (E,) positions of the
    edges in the order of ``graph``.

    Example::

        >>> path = torch.tensor([[0, 1, 2], [1, 2, 3]])
        >>> around = Neighbourhoods(path, num_nodes=4).fetch([3], hops=2)
        >>> around.nodes, around.edge_index.tolist()  # 2 -> 3, 1 -> 2
        (tensor([3, 2, 1]), [[1, 2], [0, 1]])
        >>> around.edges
        tensor([2, 1])
    """

    nodes: Tensor
    edge_index: Tensor
    place: Tensor
    hops: int
    complete: bool
    found: Numbers = field(repr=False)
    graph: Neighbourhoods = field(repr=False)

    @property
    def edges(self) -> Tensor:
        """Return the columns of its edges in the whole graph's ``edge_index``, (E,): for weights and attributes."""
        return torch.from_numpy(self.graph.columns(self.found))

    def degrees(self) -> Tensor:
        """Count the edges that enter each of its nodes in the whole graph, (n,), loops included."""
        return torch.from_numpy(self.graph.degrees(self.nodes.numpy()))

    def loops(self) -> Tensor:
        """Count the edges of the whole graph from each of its nodes to itself, (n,)."""
        return torch.from_numpy(self.graph.loops(self.nodes.numpy()))


class Neighbourhoods:
    """Index a graph to find the neighbourhood of a few nodes without reading the others.

    Edges are sorted once by the node they enter (CSR, numpy). A fetch costs O(edges found), whatever the graph's size,
    and may be called from several threads; each thread stores N numbers. ``torch_geometric.utils.k_hop_subgraph``,
    which scans all E edges at each hop, returns the same nodes, and the same edges plus those among outermost nodes.

    edge_index: (2, E) int64 or int32, sources first, directed, repeats and loops kept; an ``EdgeIndex`` or an ``adj_t``
    is accepted, too. num_nodes: N, nodes without edges included. Features are not needed. Raises TypeError or
    ValueError for anything that is no such graph.

    Example::

        >>> graph = Neighbourhoods(data.edge_index, data.num_nodes)
        >>> around = graph.fetch([3, 17], hops=2)
        >>> around.nodes[around.place], around.complete
        (tensor([ 3, 17]), True)
        >>> graph.fetch([3, 17], fan_outs=[2, 2]).complete  # draws from the edges
        False
    """

    def __init__(self, edge_index: Any, num_nodes: int) -> None:
        if isinstance(num_nodes, bool) or not isinstance(num_nodes, int) or num_nodes < 1:
            raise ValueError(f"'num_nodes' must be a whole number of at least 1, got {num_nodes!r}")
        edges = _checked_edges(edge_index, num_nodes)
        self.num_nodes, self.num_edges = num_nodes, edges.size(1)
        self._entering = Entering(edges, num_nodes)
        self._loops: Numbers = torch.bincount(edges[1, edges[0] == edges[1]], minlength=num_nodes).numpy()
        self._own = threading.local()

    def __repr__(self) -> str:
        return f"Neighbourhoods({self.num_nodes} nodes, {self.num_edges} edges, {self.nbytes / 1e6:.1f} MB)"

    @property
    def nbytes(self) -> int:
        """Count the bytes of the index, without the N numbers per thread."""
        return self._entering.nbytes + self._loops.nbytes

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_own"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._own = threading.local()

    def degrees(self, nodes: Numbers) -> Numbers:
        """Count the edges that enter each of some nodes."""
        return self._entering.degrees(nodes)

    def loops(self, nodes: Numbers) -> Numbers:
        """Count the edges of each of some nodes to itself."""
        return self._loops[nodes]

    def columns(self, found: Numbers) -> Numbers:
        """Return columns of ``edge_index`` for positions in the order of the index, which is by target."""
        return self._entering.columns(found)

    def fetch(self, nodes: Any, hops: int | None = None, fan_outs: Sequence[int] | None = None) -> Neighbourhood:
        """Find the nodes from which some nodes are reached in ``hops`` steps along edges, and the edges of those steps.

        The result has all edges that enter a node at fewer than ``hops`` steps, so a GNN of ``hops`` layers whose
        messages depend on their two ends and the edge alone (SAGE, GIN, GAT) answers at ``place`` as on the whole
        graph. For exceptions see ``answer_fetched``.

        Args:
            nodes: (B,) ids: a list, an array or a tensor; repeats are looked up once.
            hops: the number of layers, at least 0; by default 2, or one hop per entry of ``fan_outs``.
            fan_outs: for each hop how many of the edges that enter a node are followed, drawn uniformly without
                replacement from torch's global generator; -1 for all, as in ``NeighborLoader``.

        Raises TypeError or ValueError for ids that are not in the graph, and for other ``hops`` or ``fan_outs``.
        """
        steps = _steps(hops, fan_outs)
        asked = _checked_nodes(nodes, self.num_nodes)
        local = self._numbering()
        parts: list[Numbers] = []
        try:
            frontier = _first_of_each(asked, local)
            parts.append(frontier)
            local[frontier] = np.arange(len(frontier))
            place, count = local[asked], len(frontier)
            found: list[tuple[Numbers, Numbers, Numbers]] = []
            for fan_out in steps:
                owner, where = self._entering.follow(frontier, fan_out)
                source, target = self._entering.sources(where), local[frontier][owner]
                rows = local[source]
                unknown = (rows < 0).nonzero()[0]
                strangers = source[unknown]
                frontier = _first_of_each(strangers, local)
                parts.append(frontier)
                local[frontier] = np.arange(count, count + len(frontier))
                rows[unknown] = local[strangers]
                count += len(frontier)
                found.append((rows, target, where))
        finally:  # reset numbers to -1 for the next fetch
            for part in parts:
                local[part] = -1
        return self._given(np.concatenate(parts), found, place, all(step < 0 for step in steps))

    def _given(
        self, nodes: Numbers, found: Sequence[tuple[Numbers, Numbers, Numbers]], place: Numbers, complete: bool
    ) -> Neighbourhood:
        ends: Numbers = np.empty((2, sum(len(rows) for rows, _, _ in found)), np.int64)
        where = np.empty(ends.shape[1], np.int64)
        if found:
            sources, targets, places = zip(*found, strict=True)
            np.concatenate(sources, out=ends[0])
            np.concatenate(targets, out=ends[1])
            np.concatenate(places, out=where)
        ids, own = torch.from_numpy(nodes), torch.from_numpy(place)
        return Neighbourhood(ids, torch.from_numpy(ends), own, len(found), complete, where, self)

    def _numbering(self) -> Numbers:
        """Return this thread's local numbers of all nodes, -1 for nodes outside the fetch."""
        if not hasattr(self._own, "local"):
            self._own.local = np.full(self.num_nodes, -1, np.int64)
        return self._own.local


def _first_of_each(nodes: Numbers, local: Numbers) -> Numbers:
    """Remove repeats from nodes that have no local numbers yet, in O(n); overwrites their entries of ``local``."""
    rows = np.arange(len(nodes))
    local[nodes] = rows
    return nodes[local[nodes] == rows]


def _checked_edges(edge_index: Any, num_nodes: int) -> Tensor:
    given = torch.from_numpy(edge_index) if isinstance(edge_index, np.ndarray) else edge_index
    if not isinstance(given, Tensor) and not hasattr(given, "coo"):
        raise TypeError(f"'edge_index' must be a tensor (2, E), sources first, or an adj_t, got {type(given).__name__}")
    edges = edge_index_of(given)
    if edges.dim() != 2 or edges.size(0) != 2:
        raise ValueError(f"'edge_index' must be (2, E), sources first, got {tuple(edges.shape)}")
    if edges.dtype not in (torch.int64, torch.int32):
        raise TypeError(
            f"'edge_index' must be int64 or int32, got {edges.dtype}: give edge_index.long() if they are ids"
        )
    edges = edges.detach().cpu().long()
    check_range(edges, num_nodes, "edge_index", "the nodes of the graph")
    return edges


def _checked_nodes(nodes: Any, num_nodes: int) -> Numbers:
    """Return ids (B,) as int64."""
    ids = nodes.detach().cpu().numpy() if isinstance(nodes, Tensor) else np.asarray(nodes)
    if ids.size == 0 and not isinstance(nodes, (Tensor, np.ndarray)):
        ids = ids.astype(np.int64)  # numpy makes an empty list float64
    if ids.dtype.kind not in "iu":
        raise TypeError(f"'nodes' must be ids, whole numbers, got {ids.dtype}; of a mask give its nonzero().flatten()")
    if ids.ndim != 1:
        raise ValueError(f"'nodes' must be (B,), got {ids.shape}")
    if ids.size and (ids.min() < 0 or ids.max() >= num_nodes):
        raise ValueError(f"'nodes' must be from 0 to {num_nodes - 1}, got {ids.min()} to {ids.max()}")
    return ids.astype(np.int64)


def _steps(hops: int | None, fan_outs: Sequence[int] | None) -> list[int]:
    """Return the fan-out of each hop, -1 for all edges."""
    if fan_outs is None:
        hops = 2 if hops is None else hops
        if not _is_whole(hops, 0):
            raise ValueError(f"'hops' must be a whole number of at least 0, got {hops!r}")
        return [-1] * hops
    steps = list(fan_outs)
    if not all(_is_whole(step, -1) for step in steps):
        raise ValueError(f"'fan_outs' must hold a whole number a hop, -1 for all edges, got {steps}")
    if hops is not None and hops != len(steps):
        raise ValueError(
            f"'fan_outs' must hold one number for each of {hops!r} hops, got {len(steps)}: leave 'hops' out"
        )
    return steps


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
