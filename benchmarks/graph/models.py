"""Node classifiers of the benchmarks, by name, and the sub-module whose output is their hidden layer."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from torch import Tensor, nn
from torch_geometric.nn import GAT, GCN, MLP, SimpleConv
from torch_geometric.utils import add_self_loops

from graphkd.gnn import sample_in_edges

# The last hidden layer before its non-linearity, as a tap path.
HIDDEN = {"mlp": "lins.0", "gcn": "convs.0", "sage": "convs.0", "gat": "convs.0"}


class MeanConv(nn.Module):
    """A linear map, then the mean over in-neighbours: ``SAGEConv`` without root weight, on narrow rows."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.linear, self.mean = nn.Linear(width, out), SimpleConv(aggr="mean")

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """(N, width), (2, E) -> (N, out)."""
        return self.mean(self.linear(x), edge_index)

    def transformation(self) -> tuple[Tensor, Tensor]:
        """Weight and bias of what it does to a node alone, for methods that begin with a teacher's weights."""
        return self.linear.weight.detach(), self.linear.bias


class SampledSAGE(nn.Module):
    """GraphSAGE with the 'gcn' aggregator and fan-out sampling in training: the teacher of GLNN's protocol.

    Hamilton et al., NeurIPS 2017. A layer averages ``fan_out`` sampled in-neighbours and the node itself; the graph
    has self loops, so a node can be drawn as its own neighbour too. Evaluation uses all neighbours.
    """

    def __init__(self, widths: list[int], *, dropout: float = 0.0, fan_out: int = 5) -> None:
        super().__init__()
        self.convs = nn.ModuleList(MeanConv(i, o) for i, o in pairwise(widths))
        self.dropout, self.fan_out = nn.Dropout(dropout), fan_out

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """(N, F), (2, E) -> (N, C)."""
        looped, _ = add_self_loops(edge_index, num_nodes=x.size(0))
        for number, conv in enumerate(self.convs):
            edges = sample_in_edges(looped, self.fan_out, x.size(0)) if self.training else looped
            x = conv(x, add_self_loops(edges, num_nodes=x.size(0))[0])
            if number + 1 < len(self.convs):
                x = self.dropout(x.relu())
        return x


KINDS: dict[type[nn.Module], str] = {MLP: "mlp", SampledSAGE: "sage", GCN: "gcn", GAT: "gat"}


def build(name: str, features: int, classes: int, *, hidden: int, dropout: float, layers: int = 2) -> nn.Module:
    """A model of that name; ValueError that lists the names where this is none of them."""
    widths = [features, *[hidden] * (layers - 1), classes]
    if name == "mlp":
        return MLP(widths, norm=None, dropout=dropout)
    if name == "sage":
        return SampledSAGE(widths, dropout=dropout)
    if name == "gcn":
        return GCN(features, hidden, layers, classes, dropout=dropout)
    if name == "gat":
        return GAT(features, hidden, layers, classes, dropout=dropout, heads=8)
    raise ValueError(f"a model must be one of {sorted(HIDDEN)}, got {name!r}")


def resized(model: nn.Module, features: int, classes: int, *, hidden: int, layers: int) -> nn.Module:
    """A new model of this one's kind and dropout, where it is, in another width and depth."""
    dropout: Any = model.dropout
    rate = dropout.p if isinstance(dropout, nn.Dropout) else dropout[0]
    new = build(KINDS[type(model)], features, classes, hidden=hidden, dropout=rate, layers=layers)
    return new.to(next(model.parameters()).device)
