"""Answers of a GNN for a few nodes from their neighbourhood alone, checked against answers on the whole graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.nn import GCNConv, MessagePassing

from graphkd.core.modes import evaluating
from graphkd.serving.neighbourhoods import Neighbourhood, Neighbourhoods

# Layers of PyG that read the degrees of sources. The outermost nodes of a neighbourhood lack the edges that enter them.
_DEGREES = frozenset(
    {
        *("APPNP", "ARMAConv", "AntiSymmetricConv", "ChebConv", "DNAConv", "EGConv", "FAConv", "GCN2Conv", "LGConv"),
        *("MixHopConv", "PDNConv", "SGConv", "SSGConv", "TAGConv"),
    }
)
# Layers that read rows other than the sources of messages, with the reason.
_BEYOND: Mapping[str, str] = {
    **dict.fromkeys(
        ("DiffGroupNorm", "GraphNorm", "GraphSizeNorm", "InstanceNorm", "MeanSubtractionNorm", "PairNorm"),
        "normalises by all nodes of the graph that it is given",
    ),
    **dict.fromkeys(("GPSConv", "SGFormer", "Polynormer"), "attends to all nodes of the graph that it is given"),
    **dict.fromkeys(("TopKPooling", "SAGPooling", "ASAPooling", "EdgePooling"), "chooses among all nodes"),
    "PLP": "has numbers of its own for each node of the graph that it was trained on",
    "PAM": "attends to peers, which need not be among the nodes fetched",
    "Positioned": "keeps a position for each node of the graph that it was trained on",
}


@torch.no_grad()
def answer_fetched(
    model: nn.Module,
    x: Tensor,
    around: Neighbourhood,
    edges: Mapping[str, Tensor] | None = None,
    *,
    margin: int = 0,
) -> Tensor:
    """Run a GNN on the nodes of a fetch: (B, C), in the order in which ``fetch`` got them.

    If the fetch has all edges of as many hops as the model has layers, answers equal those on the whole graph up to
    rounding, provided that a node aggregates messages which depend on their two ends and the edge alone: SAGE, GIN,
    GAT, GraphConv. GCN also divides by the degrees of sources, d_i = 1 + (edges that enter i), and the fetch lacks the
    edges of its outermost nodes. ``GCNConv`` therefore gets the whole graph's degrees, unless ``margin`` says that the
    fetch reaches farther than the model. With fan-outs each drawn edge is weighed by the number of edges it represents,
    (edges that enter i) / (drawn edges), so a layer's sum is unbiased; PyG's ``NeighborLoader`` uses the sample's
    degrees instead. ``GCNConv`` layers have hooks during a call, so call such a model from one thread at a time.

    Args:
        model: called with ``(x, edge_index)`` and ``edges`` by name, in eval mode and without gradients.
        x: (N, F) features of the whole graph.
        around: the result of ``Neighbourhoods.fetch``.
        edges: weights or attributes of the whole graph's edges by the name of the model's argument, (E, ...).
        margin: how many more hops the fetch has than the model layers. From 1 on, it has all degrees that matter.

    Raises ValueError or TypeError for layers of PyG and of this library for which this does not hold: layers other than
    ``GCNConv`` that read degrees of sources (SGConv, APPNP, LGConv, ...; allowed with margin=1), ``GCNConv`` with edge
    weights (likewise), and norms or attention over all nodes. Other modules are not inspected: use ``check_fetched``.

    Example::

        >>> around = Neighbourhoods(data.edge_index, data.num_nodes).fetch([3, 17], hops=2)
        >>> answers = answer_fetched(teacher, data.x, around)
        >>> torch.allclose(answers, teacher(data.x, data.edge_index)[[3, 17]], atol=1e-5)
        True
    """
    check_local(model, x, around, edges or {}, margin)
    return asked(model, x[around.nodes], around, edges, margin)


def asked(
    model: nn.Module, rows: Tensor, around: Neighbourhood, edges: Mapping[str, Tensor] | None, margin: int
) -> Tensor:
    """Run a model as ``answer_fetched`` does, on ``rows``, the features of the fetched nodes, without its checks."""
    given = {name: value[around.edges] for name, value in (edges or {}).items()}
    with evaluating(model), _whole_degrees(model, around, on=margin == 0):
        answers = model(rows, around.edge_index, **given)
    if not isinstance(answers, Tensor) or answers.dim() < 1 or answers.size(0) != len(around.nodes):
        got = tuple(answers.shape) if isinstance(answers, Tensor) else type(answers).__name__
        raise ValueError(f"'model' must give a row of answers for each of {len(around.nodes)} nodes, got {got}")
    return answers[around.place]


@torch.no_grad()
def check_fetched(
    model: nn.Module,
    data: Any,
    nodes: Any,
    hops: int = 2,
    edges: Mapping[str, Tensor] | None = None,
    *,
    margin: int = 0,
    tolerance: float = 1e-5,
) -> float:
    """Compare a GNN's answers by neighbourhoods with those on the whole graph; returns the largest difference.

    data: ``x`` and ``edge_index``, as PyG's ``Data``; nodes: (B,) ids to compare; others as for ``answer_fetched``.
    Raises RuntimeError if answers differ by more than ``tolerance`` times the largest one: the model has more layers
    than ``hops``, or its messages depend on more than their ends. Costs one pass over the whole graph.

    Example::

        >>> round(check_fetched(teacher, data, range(32), hops=2), 3)
        0.0
        >>> check_fetched(teacher, data, range(32), hops=1)
        Traceback (most recent call last):
        RuntimeError: GCN must answer by 1 hops as on the whole graph, its answers differ by ...
    """
    graph = Neighbourhoods(data.edge_index, int(data.x.size(0)))
    around = graph.fetch(nodes, hops)
    found = answer_fetched(model, data.x, around, edges, margin=margin)
    with evaluating(model):
        whole = model(data.x, data.edge_index, **(edges or {}))[around.nodes[around.place]]
    difference = float((found - whole).abs().max()) if found.numel() else 0.0
    if not difference <= tolerance * max(1.0, float(whole.abs().max()) if whole.numel() else 0.0):
        raise RuntimeError(
            f"{type(model).__name__} must answer by {hops} hops as on the whole graph, its answers differ by "
            f"{difference:.3g}: it has more layers than that, or reads more than a message's ends; give more 'hops', "
            "with degrees of sources one more and margin=1"
        )
    return difference


@contextmanager
def _whole_degrees(model: nn.Module, around: Neighbourhood, *, on: bool) -> Iterator[None]:
    """Let ``GCNConv`` normalise by the whole graph's degrees."""
    layers = [layer for layer in model.modules() if on and isinstance(layer, GCNConv) and layer.normalize]
    kept: dict[tuple[bool, torch.dtype], tuple[Tensor, Tensor]] = {}

    def normalised(layer: Any, given: tuple[Any, ...], named: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        x = given[0] if given else named["x"]
        key = bool(layer.add_self_loops), x.dtype
        if key not in kept:
            kept[key] = _gcn_norm(around, *key)
        return (x, *kept[key]), {}

    hooks = [layer.register_forward_pre_hook(normalised, with_kwargs=True) for layer in layers]
    try:
        for layer in layers:
            layer.normalize = False  # the hook does it
        yield
    finally:
        for layer, hook in zip(layers, hooks, strict=True):
            layer.normalize = True
            hook.remove()


def _gcn_norm(around: Neighbourhood, add_self_loops: bool, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return edges and weights 1 / sqrt(d_source d_target), loops replaced by one per node if they are added."""
    edge_index, degrees, size = around.edge_index, around.degrees(), len(around.nodes)
    share = degrees.to(dtype) / torch.bincount(edge_index[1], minlength=size).clamp_min(1)
    weights = share[edge_index[1]]  # above 1 only where edges were drawn
    if add_self_loops:
        own, others = torch.arange(size), edge_index[0] != edge_index[1]
        edge_index = torch.cat([edge_index[:, others], own.expand(2, -1)], dim=1)
        weights = torch.cat([weights[others], weights.new_ones(size)])
        degrees = degrees - around.loops() + 1
    scale = degrees.to(dtype).pow(-0.5).masked_fill(degrees == 0, 0.0)
    return edge_index, scale[edge_index[0]] * weights * scale[edge_index[1]]


def check_local(model: nn.Module, x: Tensor, around: Neighbourhood, edges: Mapping[str, Tensor], margin: int) -> None:
    """Raise ValueError or TypeError, as ``answer_fetched`` says, if answers would differ from the whole graph's."""
    graph = around.graph
    if isinstance(margin, bool) or not isinstance(margin, int) or margin < 0:
        raise ValueError(f"'margin' must be a whole number of at least 0, got {margin!r}")
    if not isinstance(x, Tensor) or x.size(0) != graph.num_nodes:
        got = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
        raise ValueError(f"'x' must have a row for each of the graph's {graph.num_nodes} nodes, got {got}")
    for name, value in edges.items():
        if not isinstance(value, Tensor) or value.dim() < 1 or value.size(0) != graph.num_edges:
            got = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"'edges' must give {name!r} for each of the graph's {graph.num_edges} edges, got {got}")
    for path, part in model.named_modules():
        if reason := _refused(part, bool(edges), margin):
            raise TypeError(f"{type(part).__name__} at {path or 'the top'!r} {reason}")


def _refused(part: nn.Module, weighted: bool, margin: int) -> str | None:
    """Say why a module's answers by neighbourhoods differ from those on the whole graph."""
    name, module = type(part).__name__, type(part).__module__
    if isinstance(part, MessagePassing) and part.flow != "source_to_target":
        return "sends messages from targets to sources: give the graph with its edges turned round, and the usual flow"
    if isinstance(part, nn.modules.batchnorm._BatchNorm) and not part.track_running_stats:
        return "normalises by all nodes of the graph that it is given: train it with track_running_stats"
    if isinstance(part, GCNConv):
        return _refused_gcn(part, weighted, margin)
    if not module.startswith(("torch_geometric.", "graphkd.")):
        return None
    if name == "LayerNorm" and getattr(part, "mode", "node") == "graph":
        return "normalises by all nodes of the graph that it is given: use mode='node', or ask on the whole graph"
    if name in _BEYOND:
        return f"{_BEYOND[name]}: ask it on the whole graph"
    if name in _DEGREES and margin < 1:
        return "reads degrees of sources: fetch one hop more than it reaches and give margin=1"
    return None


def _refused_gcn(layer: GCNConv, weighted: bool, margin: int) -> str | None:
    if layer.cached and margin >= 1:
        return "has cached=True, and would answer by the graph that it saw first: set its 'cached' to False"
    if layer.improved and margin < 1:
        return (
            "has improved=True, whose degrees are not known here: fetch one hop more than it reaches and give margin=1"
        )
    if weighted and margin < 1 and layer.normalize:
        return "sums weights of edges up to degrees of sources: fetch one hop more than it reaches and give margin=1"
    return None
