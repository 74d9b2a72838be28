"""What methods are given for tasks beyond one class a node: several labels, graphs, numbers of graphs, links."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric import seed_everything
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader
from torch_geometric.nn import GCNConv, global_mean_pool
from torch_geometric.transforms import RandomLinkSplit

import graphkd
from graphkd.core.method import Metadata
from graphkd.tasks import GraphClassification, GraphRegression, LinkPrediction, MultiLabelNodeClassification
from tests.methods.scene import CLASSES, EPOCHS, FEATURES, GIVEN, gcn, graph


class Pooled(nn.Module):
    """A model of graphs: nodes are seen by ``conv``, graphs by ``embed``."""

    def __init__(self, seed: int, width: int, out: int = CLASSES) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.conv, self.embed, self.last = GCNConv(FEATURES, width), nn.Linear(width, width), nn.Linear(width, out)

    def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor | None = None) -> Tensor:
        return self.last(self.embed(global_mean_pool(self.conv(x, edge_index).relu(), batch)).relu())


def several_labels() -> Data:
    """The graph with labels of which a node may have several."""
    data = graph()
    data.y = (data.x[:, :CLASSES] > data.x[:, :CLASSES].median(dim=0).values).float()
    return data


def graphs(seed: int, *, numbers: bool = False, count: int = 24) -> list[Data]:
    """Small graphs of three kinds, or with two numbers each."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for number in range(count):
        x = torch.randn(6, FEATURES, generator=generator)
        x[:, number % CLASSES] += 2
        y = x[:, :2].mean(dim=0, keepdim=True) if numbers else torch.tensor([number % CLASSES])
        found.append(Data(x=x, edge_index=torch.randint(6, (2, 12), generator=generator), y=y))
    return found


def _of_graphs(task: type, *, numbers: bool) -> dict[str, Any]:
    loaders = (DataLoader(graphs(seed, numbers=numbers), 8) for seed in range(3))
    data, val, test = loaders
    out = 2 if numbers else CLASSES
    return {
        "student": Pooled(5, 12, out),
        "teacher": Pooled(1, 12, out),
        "data": data,
        "task": task(val=val, test=test),
        "hidden": "embed",
    }


def _links() -> dict[str, Any]:
    seed_everything(0)
    split = RandomLinkSplit(num_val=0.1, num_test=0.1, is_undirected=True, add_negative_train_samples=False)
    train, val, test = split(graph())
    return {
        "student": gcn(5, 12, out=8),
        "teacher": gcn(1, 12, out=8),
        "data": train,
        "task": LinkPrediction(val=val, test=test),
        "hidden": "convs.0",
    }


KINDS: dict[str, Callable[[], dict[str, Any]]] = {
    "multi_label_node_classification": lambda: {
        "student": gcn(5, 12),
        "teacher": gcn(1, 12),
        "data": several_labels(),
        "task": MultiLabelNodeClassification(),
        "hidden": "convs.0",
    },
    "graph_classification": functools.partial(_of_graphs, GraphClassification, numbers=False),
    "graph_regression": functools.partial(_of_graphs, GraphRegression, numbers=True),
    "link_prediction": _links,
}


def arguments(row: Metadata, kind: str) -> dict[str, Any]:
    """Arguments of ``distil`` for a method on a task of that kind."""
    given = {**KINDS[kind](), "epochs": EPOCHS, "progress": False}
    if "edges" in row.needs and kind.startswith("graph_"):
        given["hidden"] = "conv"  # edges join nodes
    for need in row.needs:
        if need not in ("hidden", "edges", "whole graph"):
            given |= GIVEN[need]()
    return given


def run(row: Metadata, kind: str, **changes: Any) -> Any:
    """Distil by a method on a task of that kind."""
    given = {**arguments(row, kind), **changes}
    student, teacher, data = given.pop("student"), given.pop("teacher"), given.pop("data")
    return graphkd.distil(row.name, student, teacher, data, **given)
