"""Graphs from files, and their mini-batches: PyG's loaders, which run after a plain ``pip install`` too."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor
from torch_geometric import typing as capabilities
from torch_geometric.data import Data, HeteroData
from torch_geometric.loader import LinkLoader, LinkNeighborLoader, NeighborLoader, NodeLoader

from graphkd.loaders.files import read_graph
from graphkd.loaders.neighbours import FanOuts, NeighbourSampler

__all__ = ["NeighbourSampler", "link_neighbour_loader", "neighbour_loader", "read_graph"]

_COMPRESSED = (torch.sparse_csr, torch.sparse_csc)
_COMPILED = ("subgraph_type", "disjoint", "temporal_strategy", "time_attr", "weight_attr", "is_sorted")


def neighbour_loader(
    data: Data | HeteroData,
    num_neighbors: FanOuts,
    input_nodes: Any = None,
    *,
    replace: bool = False,
    **options: Any,
) -> NodeLoader:
    """Sample batches of nodes with part of their neighbourhoods; the batches of PyG's ``NeighborLoader``.

    Returns PyG's ``NeighborLoader`` where pyg-lib or torch-sparse is installed (neither is on PyPI), else a
    ``NodeLoader`` with ``NeighbourSampler``, which draws from the same distribution. A batch has its ``batch_size``
    seeds first, then the nodes found from them hop by hop; ``n_id`` and ``e_id`` are the ids of its nodes and edges in
    the graph, ``input_id`` the positions of its seeds in ``input_nodes``.

    Args:
        data: ``Data`` or ``HeteroData`` with ``edge_index``.
        num_neighbors: how many of the edges that enter a node are followed at each hop, ``[10, 10]``; -1 for all. For
            ``HeteroData`` one such list for all types of edges, or a dict with one for each.
        input_nodes: seeds, by default all nodes: a mask, ids, or of ``HeteroData`` a type or (type, mask or ids).
        replace: whether an edge may be drawn more than once.
        options: those of ``NodeLoader`` and ``torch.utils.data.DataLoader``: ``batch_size``, ``shuffle``,
            ``num_workers`` and others; those of ``NeighborLoader`` alone, such as ``time_attr``, raise ValueError
            without pyg-lib or torch-sparse.

    Example::

        >>> from graphkd.tasks import NodeClassification
        >>> loader = neighbour_loader(data, [2, 2], data.train_mask, batch_size=8, shuffle=True)
        >>> task, taught = NodeClassification(evaluate_on=data), graphkd.Cached(teacher, data)
        >>> result = graphkd.distil("kd", student, taught, loader, task=task, epochs=2, progress=False)
    """
    data = _sliceable(data)
    if _has_backend():
        return NeighborLoader(data, num_neighbors, input_nodes, replace=replace, **options)
    _check_options(options)
    return NodeLoader(data, NeighbourSampler(data, num_neighbors, replace=replace), input_nodes, **options)


def link_neighbour_loader(
    data: Data | HeteroData,
    num_neighbors: FanOuts,
    edge_label_index: Any = None,
    *,
    replace: bool = False,
    **options: Any,
) -> LinkLoader:
    """Sample batches of edges with part of their ends' neighbourhoods; the batches of PyG's ``LinkNeighborLoader``.

    Args:
        data: ``Data`` or ``HeteroData`` with ``edge_index``.
        num_neighbors: edges to follow at each hop, as for ``neighbour_loader``.
        replace: whether an edge may be drawn more than once.
        edge_label_index: the edges, (2, M), by default all of the graph; of ``HeteroData`` (type, edges).
        options: those of ``LinkLoader``, such as ``edge_label``, ``neg_sampling`` and ``neg_sampling_ratio``, and of
            ``torch.utils.data.DataLoader``.

    Example::

        >>> batch = next(iter(link_neighbour_loader(data, [2, 2], batch_size=16, neg_sampling_ratio=1.0)))
        >>> batch.edge_label_index.shape[1], int(batch.edge_label.sum())  # 16 edges, and as many pairs that are none
        (32, 16)
    """
    data = _sliceable(data)
    if _has_backend():
        return LinkNeighborLoader(data, num_neighbors, edge_label_index, replace=replace, **options)
    _check_options(options)
    return LinkLoader(data, NeighbourSampler(data, num_neighbors, replace=replace), edge_label_index, **options)


def _sliceable(data: Any) -> Any:
    """Copy a graph with node values of compressed sparse layouts as COO, the one whose rows PyG's loaders can take."""
    compressed = [
        (place, name)
        for place, store in enumerate(getattr(data, "node_stores", ()))
        for name, value in store.items()
        if isinstance(value, Tensor) and value.layout in _COMPRESSED and store.is_node_attr(name)
    ]
    found = copy.copy(data) if compressed else data  # else the user's own, changes to which a loader sees
    for place, name in compressed:
        found.node_stores[place][name] = found.node_stores[place][name].to_sparse_coo()
    return found


def _has_backend() -> bool:
    return bool(capabilities.WITH_PYG_LIB or capabilities.WITH_TORCH_SPARSE)


def _check_options(options: dict[str, Any]) -> None:
    if asked := sorted({*options} & {*_COMPILED}):
        raise ValueError(
            f"{asked} need pyg-lib or torch-sparse, which are not installed: leave them out, or install one"
        )
