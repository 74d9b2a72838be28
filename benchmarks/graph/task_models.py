"""Models of the benchmarks' further tasks: of graphs, of links, of nodes among other types, and their hidden layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn
from torch_geometric.data import Data, HeteroData
from torch_geometric.nn import GAT, GCN, GIN, MLP, GraphSAGE, HeteroConv, SAGEConv, global_add_pool, global_mean_pool

from benchmarks.graph.tuned_models import CONVS, HGT, RGCN, gine, pna, residual

Build = Callable[[Any, int, int, float], nn.Module]  # data, answers, width, dropout -> model


class PooledGIN(nn.Module):
    """A graph isomorphism network whose layers' pooled rows are embedded together. Xu et al., ICLR 2019."""

    def __init__(self, features: int, answers: int, *, width: int, layers: int, dropout: float, pool: Any) -> None:
        super().__init__()
        self.gnn = GIN(features, width, layers, dropout=dropout, jk="cat", norm="batch_norm")
        self.embed, self.last, self.pool = nn.Linear(width, width), nn.Linear(width, answers), pool

    def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor) -> Tensor:
        """(N, F), (2, E), (N,) -> (B, answers)."""
        return self.last(self.embed(self.pool(self.gnn(x, edge_index), batch)).relu())


class PooledMLP(nn.Module):
    """A set of nodes: each seen alone, then pooled."""

    def __init__(
        self, features: int, answers: int, *, width: int, dropout: float, pool: Any, first: int | None = None
    ) -> None:
        super().__init__()
        self.first, self.pool = first or features, pool
        self.nodes = MLP([self.first, width, width], norm=None, dropout=dropout)
        self.embed, self.last = nn.Linear(width, width), nn.Linear(width, answers)

    def forward(self, x: Tensor, batch: Tensor) -> Tensor:
        """(N, F), (N,) -> (B, answers)."""
        return self.last(self.embed(self.pool(self.nodes(x[:, : self.first]).relu(), batch)).relu())


class TypedSAGE(nn.Module):
    """Two layers of means over each type of edges, summed; answers for all types of nodes."""

    def __init__(self, data: HeteroData, answers: int, *, width: int, dropout: float) -> None:
        super().__init__()
        sizes = {kind: data[kind].x.size(1) for kind in data.node_types}
        first = {(a, r, b): SAGEConv((sizes[a], sizes[b]), width) for a, r, b in data.edge_types}
        self.first = HeteroConv(first)
        self.last = HeteroConv({kind: SAGEConv((width, width), answers) for kind in data.edge_types})
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_dict: dict[str, Tensor], edge_index_dict: dict[Any, Tensor]) -> dict[str, Tensor]:
        """Features and edges by type -> (n, answers) by type."""
        hidden = {kind: self.dropout(x.relu()) for kind, x in self.first(x_dict, edge_index_dict).items()}
        return self.last(hidden, edge_index_dict)


def _nodes(kind: type[Any], **options: Any) -> Build:
    def build(data: Data, answers: int, width: int, dropout: float) -> nn.Module:
        model: nn.Module = kind(data.num_features, width, 2, answers, dropout=dropout, **options)
        return model

    return build


def _features(data: Any, answers: int, width: int, dropout: float) -> nn.Module:
    own = data if isinstance(data, Data) else data[_labelled(data)]
    return MLP([own.x.size(1), width, answers], norm=None, dropout=dropout)


def _pooled(kind: type[Any], pool: Any, **options: Any) -> Build:
    def build(data: Data, answers: int, width: int, dropout: float) -> nn.Module:
        model: nn.Module = kind(data.num_features, answers, width=width, dropout=dropout, pool=pool, **options)
        return model

    return build


def _labelled(data: HeteroData) -> str:
    """The type whose nodes have labels."""
    return next(kind for kind in data.node_types if "y" in data[kind])


def _of_types(kind: type[Any]) -> Build:
    def build(data: HeteroData, answers: int, width: int, dropout: float) -> nn.Module:
        model: nn.Module = kind(data, answers, width=width, dropout=dropout)
        return model

    return build


# Task -> name of a model -> how it is built, and the tap path of its hidden layer.
MODELS: Mapping[str, Mapping[str, tuple[Build, str]]] = {
    "node": {
        "sage": (_nodes(GraphSAGE), "convs.0"),
        "gcn": (_nodes(GCN), "convs.0"),
        "gat": (_nodes(GAT), "convs.0"),
        **{f"{name}-res": (residual(name), "embed") for name in CONVS},
        "mlp": (_features, "lins.0"),
    },
    "link": {
        "sage": (_nodes(GraphSAGE), "convs.0"),
        "gcn": (_nodes(GCN), "convs.0"),
        "mlp": (_features, "lins.0"),
    },
    "graph": {
        "gin": (_pooled(PooledGIN, global_mean_pool, layers=3), "embed"),
        "gin-1": (_pooled(PooledGIN, global_mean_pool, layers=1), "embed"),
        "gine": (gine(global_mean_pool), "embed"),
        "pna": (pna(global_mean_pool), "embed"),
        "set": (_pooled(PooledMLP, global_add_pool), "embed"),
    },
    "graph-regression": {
        "gin": (_pooled(PooledGIN, global_add_pool, layers=3), "embed"),
        "gin-1": (_pooled(PooledGIN, global_add_pool, layers=1), "embed"),
        "gine": (gine(global_add_pool), "embed"),
        "pna": (pna(global_add_pool), "embed"),
        "set": (_pooled(PooledMLP, global_add_pool, first=15), "embed"),  # element and charge
    },
    "hetero": {
        "sage": (_of_types(TypedSAGE), "first[{type}]"),
        "rgcn": (_of_types(RGCN), "split[{type}]"),
        "hgt": (_of_types(HGT), "convs.1[{type}]"),
        "mlp": (_features, "lins.0"),
    },
}
MODELS = {**MODELS, "multi-label": MODELS["node"]}
# A model of graphs -> the path of its nodes' rows.
ROWS = {"gin": "gnn", "gin-1": "gnn", "gine": "rows", "pna": "rows", "set": "nodes"}
OF_ALL_GRAPHS = ("pna",)  # which are built for the loader of the training graphs, not for one of them


def built(task: str, name: str, data: Any, answers: int, *, width: int, dropout: float) -> nn.Module:
    """A model of a task by name, with weights of the generator."""
    return MODELS[task][name][0](data, answers, width, dropout)


def hidden_of(task: str, name: str, data: Any) -> str:
    """The tap path of its hidden layer."""
    path = MODELS[task][name][1]
    return path.format(type=_labelled(data)) if "{type}" in path else path


def layers_of(student: str, teacher: str, data: Any) -> tuple[tuple[str, str], ...]:
    """The tap paths of models of graphs, of their nodes' rows and of the graphs' rows."""
    graphs = hidden_of("graph", student, data), hidden_of("graph", teacher, data)
    return (ROWS[student], ROWS[teacher]), graphs
