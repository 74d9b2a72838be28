"""GNNs asked layer by layer, each for the nodes that later layers need: the fastest teachers to compare with.

``graphkd.serving.answer_fetched`` asks any model, whose every layer then runs over all nodes that were fetched; here a
layer runs over the edges of fewer hops the later it comes, and means of neighbours are summed as they are gathered.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn import GATConv, GCNConv, SAGEConv
from torch_geometric.utils import k_hop_subgraph

from graphkd.serving import Neighbourhood, Neighbourhoods

_BLOCK = 4096  # nodes whose layer is computed at a time
_WHOLE = 1 << 28  # numbers of messages of the whole graph up to which it is asked at once


def reach(around: Neighbourhood) -> list[tuple[int, int]]:
    """How many nodes, and edges before them, stand within 0, 1, ... hops: both are in the order they were found."""
    sources, targets = around.edge_index
    nodes = int(around.place.max()) + 1
    found = [(nodes, 0)]
    for _ in range(around.hops):
        edges = int(torch.searchsorted(targets, nodes))  # whether a target is below is sorted, if targets are not
        nodes = max(nodes, int(sources[:edges].max()) + 1) if edges else nodes
        found.append((nodes, edges))
    return found


@torch.no_grad()
def by_layers(model: nn.Module, rows: Tensor, around: Neighbourhood) -> Tensor:
    """Answers (B, C) of a GraphSAGE, GCN or GAT of PyG with ReLU between its layers, rows (n, F) of the nodes fetched.

    The same as ``answer_fetched`` up to rounding, of GCN only where all edges were fetched.
    """
    layers, sizes = list(model.convs), reach(around)  # type: ignore[arg-type]
    for number, conv in enumerate(layers):
        nodes, edges = sizes[len(layers) - number]
        kept = sizes[len(layers) - number - 1][0]
        rows = one_layer(conv, rows[:nodes], around, edges, kept)
        rows = rows.relu_() if number + 1 < len(layers) else rows
    return rows[around.place]


def one_layer(conv: nn.Module, rows: Tensor, around: Neighbourhood, edges: int, kept: int) -> Tensor:
    """The first ``kept`` rows of a layer, over the first ``edges`` edges."""
    ends = around.edge_index[:, :edges]
    if isinstance(conv, SAGEConv):
        return _sage(conv, rows, ends if around.complete else ends[:, ends[1].argsort(stable=True)], kept)
    if isinstance(conv, GCNConv):
        return _gcn(conv, rows, around, ends, kept)
    if isinstance(conv, GATConv):
        return conv((rows, rows[:kept]), ends)
    raise TypeError(f"a layer must be SAGEConv, GCNConv or GATConv, got {type(conv).__name__}: ask by answer_fetched")


def _sage(conv: SAGEConv, rows: Tensor, ends: Tensor, kept: int) -> Tensor:
    begin = torch.searchsorted(ends[1].contiguous(), torch.arange(kept))
    near = F.embedding_bag(ends[0], rows, begin, mode="mean")
    return conv.lin_l(near) + conv.lin_r(rows[:kept])


def _gcn(conv: GCNConv, rows: Tensor, around: Neighbourhood, ends: Tensor, kept: int) -> Tensor:
    """Sum h_j / sqrt(d_i d_j) over neighbours j and i itself, d the degrees in the whole graph with one loop a node."""
    if not around.complete:
        raise ValueError("GCN by layers must have all edges, got draws from them: ask by answer_fetched")
    scale = (around.degrees() - around.loops() + 1).to(rows.dtype).rsqrt()
    sources, targets = ends[:, ends[0] != ends[1]]
    hidden = conv.lin(rows)
    messages = hidden[sources] * (scale[sources] * scale[targets])[:, None]
    found = hidden[:kept] * scale[:kept, None].square()
    return found.index_add_(0, targets, messages) + conv.bias


@torch.no_grad()
def hidden_rows(model: nn.Module, x: Tensor, graph: Neighbourhoods) -> Tensor:
    """The first layer of a model after its ReLU, for all nodes, in blocks."""
    return _of_all(model.convs[0], x, graph).relu_()  # type: ignore[index]


@torch.no_grad()
def last_rows(model: nn.Module, hidden: Tensor, graph: Neighbourhoods) -> Tensor:
    """The last layer of a model for all nodes, in blocks, from all rows before it."""
    return _of_all(model.convs[-1], hidden, graph)  # type: ignore[index]


def _of_all(conv: Any, table: Tensor, graph: Neighbourhoods) -> Tensor:
    found = []
    for begin in range(0, graph.num_nodes, _BLOCK):
        around = graph.fetch(np.arange(begin, min(begin + _BLOCK, graph.num_nodes)), 1)
        edges = around.edge_index.size(1)
        found.append(one_layer(conv, table[around.nodes], around, edges, len(around.place)))
    return torch.cat(found)


@torch.no_grad()
def answered(model: nn.Module, x: Tensor, edge_index: Tensor | None, ids: Any) -> Tensor:
    """Answers (B, C) of a model as PyG gives them, none of our fetches at work: what forms are compared with.

    On the whole graph, and where its messages are more than a gigabyte, on PyG's sub-graph around ``ids``. edge_index:
    None for a model of features alone.
    """
    rows = torch.as_tensor(ids)
    if edge_index is None:
        return model(x[rows])
    width = max(layer.out_channels * getattr(layer, "heads", 1) for layer in model.convs)  # type: ignore[union-attr]
    if edge_index.size(1) * max(width, x.size(1)) <= _WHOLE:
        return model(x, edge_index)[rows]
    layers = list(model.convs)  # type: ignore[arg-type]
    hops = len(layers) + isinstance(layers[0], GCNConv)  # the outermost nodes' degrees are not whole there
    nodes, edges, place, _ = k_hop_subgraph(rows, hops, edge_index, relabel_nodes=True, num_nodes=len(x))
    return model(x[nodes], edges)[place]
