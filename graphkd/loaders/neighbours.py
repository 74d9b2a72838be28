"""Neighbour sampling in torch alone: a sampler for PyG's loaders where neither pyg-lib nor torch-sparse is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from torch_geometric.sampler import (
    BaseSampler,
    EdgeSamplerInput,
    HeteroSamplerOutput,
    NegativeSampling,
    NodeSamplerInput,
    SamplerOutput,
)
from torch_geometric.sampler.neighbor_sampler import edge_sample, node_sample
from torch_geometric.typing import EdgeType, NodeType

from graphkd.core.adjacency import edge_index_of
from graphkd.core.entering import Entering

FanOuts = Sequence[int] | Mapping[EdgeType, Sequence[int]]

_ONE = "nodes"  # the type of all nodes of a homogeneous graph
_EDGES: EdgeType = (_ONE, "to", _ONE)


class NeighbourSampler(BaseSampler):
    """Draw for every node of a batch some of the edges that enter it, hop by hop, as PyG's ``NeighborSampler`` does.

    Draws are uniform without replacement (``replace``: with it) from all edges that enter a node, where repeated edges
    count separately. Seeds come first, then the new nodes of each hop; a node is expanded once, in the hop after it was
    found. Edges keep their direction. Use the sampler in PyG's ``NodeLoader`` and ``LinkLoader``, see
    ``neighbour_loader``. Draws come from torch's global generator in the worker's process.

    num_neighbors: the fan-out of each hop, ``[10, 10]``, -1 for all edges, or a dict of such lists by type of edges.
    Raises ValueError for other fan-outs and, when sampling, for repeated seeds in a batch. O(E) memory and one sort
    when it is made, O(nodes + edges) a batch.

    Example::

        >>> from torch_geometric.loader import NodeLoader
        >>> batch = next(iter(NodeLoader(data, NeighbourSampler(data, [2, 2]), data.train_mask, batch_size=8)))
        >>> torch.equal(batch.n_id[:8], data.train_mask.nonzero()[:8, 0])  # seeds come first
        True
        >>> int(batch.edge_index[1].bincount().max())  # edges drawn that enter a node
        2
    """

    def __init__(self, data: Data | HeteroData, num_neighbors: FanOuts, *, replace: bool = False) -> None:
        if not isinstance(data, (Data, HeteroData)):
            raise TypeError(f"'data' must be PyG's Data or HeteroData, got {type(data).__name__}")
        self.heterogeneous, self.replace = isinstance(data, HeteroData), replace
        self._sizes = _sizes(data)
        stores = {kind: data[kind] for kind in data.edge_types} if isinstance(data, HeteroData) else {_EDGES: data}
        self._entering = {kind: Entering(_edges(store), self._sizes[kind[2]]) for kind, store in stores.items()}
        self.fan_outs = _fan_outs(num_neighbors, list(self._entering))
        self._local = {kind: torch.full((size,), -1) for kind, size in self._sizes.items()}

    def sample_from_nodes(self, index: NodeSamplerInput, **_: Any) -> Any:
        """Sample the neighbourhoods of some nodes."""
        return node_sample(index, self._sample)

    def sample_from_edges(self, index: EdgeSamplerInput, neg_sampling: NegativeSampling | None = None, **_: Any) -> Any:
        """Sample the neighbourhoods of the ends of some edges, and of negative pairs if requested."""
        sizes: Any = self._sizes if self.heterogeneous else self._sizes[_ONE]
        return edge_sample(index, self._sample, sizes, disjoint=False, node_time=None, neg_sampling=neg_sampling)

    def _sample(self, seeds: Any, time: Any = None) -> SamplerOutput | HeteroSamplerOutput:
        if time is not None:
            raise ValueError("times of nodes or edges need pyg-lib: install it, and use PyG's NeighborLoader")
        found = self._expand(seeds if self.heterogeneous else {_ONE: seeds})
        if self.heterogeneous:
            return HeteroSamplerOutput(
                found.nodes, found.source, found.target, found.edges, None, found.node_counts, found.edge_counts
            )
        (nodes, counts), edges = (found.nodes[_ONE], found.node_counts[_ONE]), found.edge_counts[_EDGES]
        return SamplerOutput(
            nodes, found.source[_EDGES], found.target[_EDGES], found.edges[_EDGES], None, counts, edges
        )

    def _expand(self, seeds: Mapping[NodeType, Tensor]) -> _Found:
        """Find the nodes and edges of all hops, in local numbers."""
        nodes = {kind: [seeds[kind]] if kind in seeds else [] for kind in self._sizes}
        picked: dict[EdgeType, list[_Edges]] = {kind: [] for kind in self._entering}
        try:
            for kind, first in seeds.items():
                self._number(kind, first, 0)
                _check_distinct(first, self._local[kind])
            counts = {kind: sum(map(len, own)) for kind, own in nodes.items()}
            frontier = dict(seeds)
            for hop in range(max(map(len, self.fan_outs.values()), default=0)):
                frontier = self._hop(hop, frontier, nodes, counts, picked)
            return self._found(nodes, picked)
        finally:  # the table of local numbers is made once, and cleared after each batch
            for kind, own in nodes.items():
                for part in own:
                    self._local[kind][part] = -1

    def _hop(
        self,
        hop: int,
        frontier: Mapping[NodeType, Tensor],
        nodes: dict[NodeType, list[Tensor]],
        counts: dict[NodeType, int],
        picked: dict[EdgeType, list[_Edges]],
    ) -> dict[NodeType, Tensor]:
        """Draw edges that enter the nodes found last; return the nodes newly found."""
        fresh: dict[NodeType, list[Tensor]] = {}
        for kind, entering in self._entering.items():
            targets = frontier.get(kind[2])
            fan_out = self.fan_outs[kind][hop] if hop < len(self.fan_outs[kind]) else 0
            edges = _NO_EDGES
            if targets is not None and fan_out:
                edges = _Edges.drawn(entering, targets, fan_out, self.replace)
            picked[kind].append(edges)
            new = edges.source[self._local[kind[0]][edges.source] < 0].unique()
            self._number(kind[0], new, counts[kind[0]])
            counts[kind[0]] += len(new)
            fresh.setdefault(kind[0], []).append(new)
        found = {kind: torch.cat(parts) for kind, parts in fresh.items()}
        for kind, own in nodes.items():
            own.append(found.get(kind, _NO_EDGES.ids))
        return found

    def _number(self, kind: NodeType, nodes: Tensor, first: int) -> None:
        self._local[kind][nodes] = torch.arange(first, first + len(nodes))

    def _found(self, nodes: Mapping[NodeType, list[Tensor]], picked: Mapping[EdgeType, list[_Edges]]) -> _Found:
        joined = {kind: _Edges(*map(torch.cat, zip(*parts, strict=True))) for kind, parts in picked.items() if parts}
        joined = {kind: joined.get(kind, _NO_EDGES) for kind in picked}
        hops = max((len(parts) for parts in picked.values()), default=0)
        return _Found(
            {kind: torch.cat(own) if own else _NO_EDGES.ids for kind, own in nodes.items()},
            {kind: self._local[kind[0]][edges.source] for kind, edges in joined.items()},
            {kind: self._local[kind[2]][edges.target] for kind, edges in joined.items()},
            {kind: edges.ids for kind, edges in joined.items()},
            {kind: [0] * (hops + 1 - len(own)) + [len(part) for part in own] for kind, own in nodes.items()},
            {kind: [len(part.ids) for part in parts] for kind, parts in picked.items()},
        )


class _Edges(NamedTuple):
    """Some edges: ids of their ends and of themselves."""

    source: Tensor
    target: Tensor
    ids: Tensor

    @classmethod
    def drawn(cls, entering: Entering, targets: Tensor, fan_out: int, replace: bool) -> _Edges:
        """Draw some of the edges that enter each target, at most ``fan_out`` of them; -1 for all."""
        owner, where = entering.follow(targets.numpy(), fan_out, replace=replace)
        sources, ids = (torch.from_numpy(found) for found in (entering.sources(where), entering.columns(where)))
        return cls(sources, targets[owner], ids)


_NO_EDGES = _Edges(*(torch.empty(0, dtype=torch.long) for _ in range(3)))


class _Found(NamedTuple):
    """Batch, by type: node ids, ends of edges in local numbers, edge ids, and counts of each hop."""

    nodes: dict[NodeType, Tensor]
    source: dict[EdgeType, Tensor]
    target: dict[EdgeType, Tensor]
    edges: dict[EdgeType, Tensor]
    node_counts: dict[NodeType, list[int]]
    edge_counts: dict[EdgeType, list[int]]


def _sizes(data: Data | HeteroData) -> dict[NodeType, int]:
    """Count the nodes of each type."""
    stores = {kind: data[kind] for kind in data.node_types} if isinstance(data, HeteroData) else {_ONE: data}
    return {kind: int(store.num_nodes) for kind, store in stores.items()}


def _edges(store: Any) -> Tensor:
    """Return the edges of one type, (2, E)."""
    if "edge_index" not in store:
        raise ValueError(f"edges must be given as 'edge_index', (2, E), the data have {list(store.keys())}")
    return edge_index_of(store.edge_index).cpu()


def _fan_outs(asked: FanOuts, kinds: Sequence[EdgeType]) -> dict[EdgeType, list[int]]:
    """Read the fan-outs of every type of edges; ValueError for invalid ones."""
    if isinstance(asked, Mapping):
        if unknown := [kind for kind in asked if kind not in kinds]:
            raise ValueError(f"'num_neighbors' names edges {unknown} that the data do not have, which are {kinds}")
        if missing := [kind for kind in kinds if kind not in asked]:
            raise ValueError(f"'num_neighbors' must say how many edges of each kind, it lacks {missing}")
        found = {kind: list(asked[kind]) for kind in kinds}
    else:
        found = {kind: list(asked) for kind in kinds}
    for own in found.values():
        if not own or not all(isinstance(count, int) and count >= -1 for count in own):
            raise ValueError(f"'num_neighbors' must hold a whole number a hop, -1 for all edges, got {own}")
    return found


def _check_distinct(seeds: Tensor, local: Tensor) -> None:
    if not torch.equal(local[seeds], torch.arange(len(seeds))):
        repeats = len(seeds) - seeds.unique().numel()
        raise ValueError(f"seeds of a batch must be distinct nodes, {repeats} of {len(seeds)} are repeats")
