"""Teachers as tuned public baselines build them: residual layers with norms, features of edges, kinds of relations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data, HeteroData
from torch_geometric.loader import DataLoader
from torch_geometric.nn import BatchNorm, GATConv, GCNConv, GINEConv, HGTConv, PNAConv, RGCNConv, SAGEConv
from torch_geometric.utils import degree

HEADS = 4
AGGREGATORS, SCALERS = ["mean", "min", "max", "std"], ["identity", "amplification", "attenuation"]
BASES = 30  # of relations, as RGCN's experiments with many of them
Conv = Callable[[int, int], nn.Module]


def gat(width: int, out: int) -> nn.Module:
    """Attention of several heads, side by side."""
    return GATConv(width, out // HEADS, heads=HEADS)


CONVS: Mapping[str, Conv] = {"gcn": GCNConv, "sage": SAGEConv, "gat": gat}


class Residual(nn.Module):
    """Layers of convolution plus a linear map of their input, then batch norm, ReLU and dropout; a linear map last.

    Luo et al., "Classic GNNs are Strong Baselines", NeurIPS 2024, arXiv:2406.08993, whose GCN, GraphSAGE and GAT get
    these three and are searched over whether to have them; here all have them.
    """

    def __init__(self, conv: Conv, features: int, answers: int, *, width: int, layers: int, dropout: float) -> None:
        super().__init__()
        sizes = [features, *[width] * (layers - 1)]
        self.convs = nn.ModuleList(conv(size, width) for size in sizes)
        self.maps = nn.ModuleList(nn.Linear(size, width) for size in sizes)
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for _ in sizes)
        self.dropout, self.embed, self.last = nn.Dropout(dropout), nn.Identity(), nn.Linear(width, answers)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """(N, F), (2, E) -> (N, answers)."""
        for conv, linear, norm in zip(self.convs, self.maps, self.norms, strict=True):
            x = self.dropout(norm(conv(x, edge_index) + linear(x)).relu())
        return self.last(self.embed(x))


class PooledGINE(nn.Module):
    """GIN whose messages have the features of edges, with a skip; the sum of the last layer's rows is embedded.

    Hu et al., "Strategies for Pre-training Graph Neural Networks", ICLR 2020, arXiv:1905.12265; norm and skip as OGB's
    baselines of molecules.
    """

    def __init__(
        self, features: int, edges: int, answers: int, *, width: int, layers: int, dropout: float, pool: Any
    ) -> None:
        super().__init__()
        self.first = nn.Linear(features, width)
        self.convs = nn.ModuleList(GINEConv(_two(width), edge_dim=edges) for _ in range(layers))
        self.norms = nn.ModuleList(BatchNorm(width) for _ in range(layers))
        self.dropout, self.rows, self.pool = nn.Dropout(dropout), nn.Identity(), pool
        self.embed, self.last = nn.Linear(width, width), nn.Linear(width, answers)

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor, batch: Tensor) -> Tensor:
        """(N, F), (2, E), (E, D), (N,) -> (B, answers)."""
        x = self.first(x)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = x + self.dropout(norm(conv(x, edge_index, edge_attr)).relu())
        return self.last(self.embed(self.pool(self.rows(x), batch)).relu())


class PooledPNA(nn.Module):
    """Means, extremes and deviations of neighbours, scaled by degrees: Corso et al., NeurIPS 2020, arXiv:2004.05718.

    With a skip and batch norm as in its experiments on molecules. degrees: how many nodes of the training graphs have
    each in-degree. edges: columns of edges' features, or None.
    """

    def __init__(
        self,
        features: int,
        answers: int,
        *,
        degrees: Tensor,
        edges: int | None,
        width: int,
        layers: int,
        dropout: float,
        pool: Any,
    ) -> None:
        super().__init__()
        options: dict[str, Any] = {"edge_dim": edges, "deg": degrees}
        self.first = nn.Linear(features, width)
        self.convs = nn.ModuleList(PNAConv(width, width, AGGREGATORS, SCALERS, **options) for _ in range(layers))
        self.norms = nn.ModuleList(BatchNorm(width) for _ in range(layers))
        self.edges, self.dropout, self.rows, self.pool = edges, nn.Dropout(dropout), nn.Identity(), pool
        self.embed, self.last = nn.Linear(width, width), nn.Linear(width, answers)

    def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor, edge_attr: Tensor | None = None) -> Tensor:
        """(N, F), (2, E), (N,), (E, D) -> (B, answers)."""
        x, attributes = self.first(x), None if self.edges is None else edge_attr
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = x + self.dropout(norm(conv(x, edge_index, attributes)).relu())
        return self.last(self.embed(self.pool(self.rows(x), batch)).relu())


class RGCN(nn.Module):
    """A linear map a type, then two layers of a map a relation, made of bases: Schlichtkrull et al., ESWC 2018.

    Rows of all types stand one below the other within; answers are by type.
    """

    def __init__(self, data: HeteroData, answers: int, *, width: int, dropout: float) -> None:
        super().__init__()
        self.types, self.relations = list(data.node_types), list(data.edge_types)
        count = len(self.relations)
        options = {"num_relations": count, "num_bases": min(BASES, count)}
        self.maps = nn.ModuleList(nn.Linear(data[kind].x.size(1), width) for kind in self.types)
        self.convs = nn.ModuleList(RGCNConv(width, out, **options) for out in (width, answers))
        self.dropout, self.split = nn.Dropout(dropout), ByType(self.types)

    def forward(self, x_dict: Mapping[str, Tensor], edge_index_dict: Mapping[Any, Tensor]) -> dict[str, Tensor]:
        """Features and edges by type -> (n, answers) by type."""
        rows = [linear(x_dict[kind]) for kind, linear in zip(self.types, self.maps, strict=True)]
        sizes = torch.tensor([len(each) for each in rows])
        begin = dict(zip(self.types, (sizes.cumsum(0) - sizes).tolist(), strict=True))
        edges = [edge_index_dict[kind] for kind in self.relations]
        moved = [
            each + each.new_tensor([[begin[source]], [begin[target]]])
            for (source, _, target), each in zip(self.relations, edges, strict=True)
        ]
        kinds = torch.cat([torch.full((each.size(1),), k, device=each.device) for k, each in enumerate(edges)])
        joined = torch.cat(moved, dim=1)
        hidden = self.split(self.convs[0](torch.cat(rows).relu(), joined, kinds), sizes.tolist())
        x = self.dropout(torch.cat(list(hidden.values())).relu())
        return dict(zip(self.types, self.convs[1](x, joined, kinds).split(sizes.tolist()), strict=True))


class ByType(nn.Module):
    """Rows that stand one below the other, by type; a module for its output to be a hidden layer."""

    def __init__(self, types: list[str]) -> None:
        super().__init__()
        self.types = types

    def forward(self, x: Tensor, sizes: list[int]) -> dict[str, Tensor]:
        """(N, d) -> (n, d) by type."""
        return dict(zip(self.types, x.split(sizes), strict=True))


class HGT(nn.Module):
    """Two layers of attention with maps of each type and relation: Hu et al., WWW 2020, arXiv:2003.01332."""

    def __init__(self, data: HeteroData, answers: int, *, width: int, dropout: float) -> None:
        super().__init__()
        self.maps = nn.ModuleDict({kind: nn.Linear(data[kind].x.size(1), width) for kind in data.node_types})
        self.convs = nn.ModuleList(HGTConv(width, width, data.metadata(), heads=HEADS) for _ in range(2))
        self.dropout, self.last = nn.Dropout(dropout), nn.Linear(width, answers)

    def forward(self, x_dict: Mapping[str, Tensor], edge_index_dict: Mapping[Any, Tensor]) -> dict[str, Tensor]:
        """Features and edges by type -> (n, answers) by type."""
        hidden = {kind: linear(x_dict[kind]).relu() for kind, linear in self.maps.items()}
        for conv in self.convs:
            hidden = conv({kind: self.dropout(x) for kind, x in hidden.items()}, edge_index_dict)
        return {kind: self.last(x) for kind, x in hidden.items() if x is not None}


def residual(name: str, layers: int = 3) -> Callable[[Any, int, int, float], nn.Module]:
    """Who builds ``Residual`` of a kind of convolution."""

    def build(data: Data, answers: int, width: int, dropout: float) -> nn.Module:
        return Residual(CONVS[name], data.num_features, answers, width=width, layers=layers, dropout=dropout)

    return build


def gine(pool: Any, layers: int = 4) -> Callable[[Any, int, int, float], nn.Module]:
    """Who builds ``PooledGINE``; ValueError of graphs whose edges have no features."""

    def build(data: Data, answers: int, width: int, dropout: float) -> nn.Module:
        if data.get("edge_attr") is None:
            raise ValueError(
                "'gine' reads features of edges, 'edge_attr', which these graphs do not have: choose 'gin'"
            )
        sizes = data.num_features, data.edge_attr.size(1)
        return PooledGINE(*sizes, answers, width=width, layers=layers, dropout=dropout, pool=pool)

    return build


def pna(pool: Any, layers: int = 4) -> Callable[[Any, int, int, float], nn.Module]:
    """Who builds ``PooledPNA`` of a loader, of whose graphs it counts the degrees."""

    def build(data: DataLoader, answers: int, width: int, dropout: float) -> nn.Module:
        first = data.dataset[0]
        attributes = first.get("edge_attr")
        return PooledPNA(
            first.num_features,
            answers,
            degrees=in_degrees(data.dataset),
            edges=None if attributes is None else attributes.size(1),
            width=width,
            layers=layers,
            dropout=dropout,
            pool=pool,
        )

    return build


def in_degrees(graphs: Any) -> Tensor:
    """How many nodes of some graphs have 0, 1, 2, ... edges that enter them."""
    found = [degree(graph.edge_index[1], graph.num_nodes, torch.long) for graph in graphs]
    return torch.cat(found).bincount()


def _two(width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(width, 2 * width), nn.BatchNorm1d(2 * width), nn.ReLU(), nn.Linear(2 * width, width))
