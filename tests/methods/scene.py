"""What every method is given in tests: a small graph, models of two kinds, and what its metadata say it needs."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import GCN, MLP
from torch_geometric.utils import subgraph

import graphkd
from graphkd import Clients
from graphkd.core.method import Metadata
from graphkd.tasks import AnomalyDetection, Regression

NODES, FEATURES, CLASSES, BATCHES = 48, 8, 3, 3
EPOCHS = 2


def graph(seed: int = 0) -> Data:
    """A graph of three groups of nodes, labelled, validated and tested in turn within each of three parts."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(NODES) % CLASSES
    x = torch.nn.functional.one_hot(y, CLASSES).float() @ torch.randn(CLASSES, FEATURES, generator=generator)
    x = (x + torch.randn(NODES, FEATURES, generator=generator)).relu()
    edges = torch.randint(NODES, (2, 6 * NODES), generator=generator)
    edges = edges[:, (y[edges[0]] == y[edges[1]]) | (torch.rand(6 * NODES, generator=generator) < 0.2)]
    place = torch.arange(NODES) // CLASSES % 4
    masks = {"train_mask": place < 2, "val_mask": place == 2, "test_mask": place == 3}
    return Data(x=x, edge_index=torch.cat([edges, edges.flip(0)], dim=1), y=y, **masks)


def parts(data: Data | Clients) -> Any:
    """The graph, or that of each client, as three batches that say their nodes."""
    if isinstance(data, Clients):
        return Clients([parts(own) for own in data])
    found = []
    for n_id in torch.arange(data.num_nodes).chunk(BATCHES):
        edges, _ = subgraph(n_id, data.edge_index, relabel_nodes=True, num_nodes=data.num_nodes)
        rows = {name: data[name][n_id] for name in data.keys() if name not in ("edge_index", "n_id")}  # noqa: SIM118
        found.append(Data(**rows, edge_index=edges, n_id=n_id))
    return found


class Odd(nn.Module):
    """A model whose ``forward`` names nothing that a batch has."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, features: Tensor, links: Tensor) -> Tensor:
        return self.inner(features, links)


def call(model: nn.Module, batch: Any) -> Any:
    """How an ``Odd`` model is called."""
    return model(batch["x"], batch.get("edge_index"))


def gcn(seed: int, width: int, dropout: float = 0.1, layers: int = 2, out: int = CLASSES) -> nn.Module:
    torch.manual_seed(seed)
    return GCN(FEATURES, width, layers, out, dropout=dropout)


def mlp(seed: int, width: int) -> nn.Module:
    torch.manual_seed(seed)
    return MLP([FEATURES, width, CLASSES], norm=None, dropout=0.1)


def trained(seed: int, width: int = 12, layers: int = 2) -> nn.Module:
    """A teacher of a few epochs."""
    return copy.deepcopy(_trained(seed, width, layers))


@functools.cache
def _trained(seed: int, width: int, layers: int) -> nn.Module:
    model = gcn(seed, width, dropout=0.0, layers=layers)
    return graphkd.distil("none", model, None, graph(), epochs=20, seed=seed, progress=False).model


def numbers() -> Data:
    """The graph with a number in place of each node's class."""
    data = graph()
    data.y = data.x[:, 0] - 2 * data.x[:, 1] + 0.1 * data.x[:, 2:].sum(dim=1)
    return data


def anomalies() -> Data:
    """The graph with some test nodes whose features are far off, and 1 as their label, 0 as that of others."""
    data = graph()
    odd = data.test_mask & (torch.arange(NODES) % 2 == 0)
    data.x[odd] += 3
    data.y = odd.long()
    return data


def regressor() -> nn.Module:
    """A teacher of numbers, of a few epochs."""
    model = gcn(1, 12, dropout=0.0, out=1)
    return graphkd.distil("none", model, None, numbers(), task=Regression(), epochs=20, progress=False).model


# Kind of a task -> what a method of it is given in place of what those of node classification are.
KINDS: dict[str, Callable[[], dict[str, Any]]] = {
    "node_classification": dict,
    "regression": lambda: {
        "student": gcn(5, 12, out=1),
        "teacher": regressor(),
        "data": numbers(),
        "task": Regression(),
    },
    "anomaly_detection": lambda: {"student": gcn(5, 12, out=1), "data": anomalies(), "task": AnomalyDetection()},
}
# Method -> what it alone is given.
OWN: dict[str, Callable[[], dict[str, Any]]] = {
    "uninformed": lambda: {"student": gcn(5, 12, out=12)},  # as wide as the teacher's hidden layer
    "krd": lambda: {"warmup": 1},  # so that edges are drawn in the second epoch
}


TEACHERS_CALL = None  # how a test calls the teachers that it makes of modules


def stored(data: Data) -> Data:
    """What a ``Cached`` teacher is asked about."""
    return data


def poisoned(data: Any, kind: str) -> Any:
    """The data, or those of each client, with wrong labels in the place of those that no method may read."""
    if isinstance(data, Clients):
        return Clients([poisoned(own, kind) for own in data])
    if not hasattr(data, "test_mask"):
        return data
    other = copy.copy(data)
    other.y = other_labels(data, kind)
    return other


def other_labels(data: Data, kind: str) -> Tensor:
    """Labels of which those that no method may read are others."""
    if kind == "anomaly_detection":
        return 1 - data.y
    return torch.where(data.train_mask | data.val_mask, data.y, (data.y + 1) % CLASSES)


# What a method needs -> what it is given for it: other arguments of ``distil``.
GIVEN: dict[str, Callable[[], dict[str, Any]]] = {
    "hidden": dict,
    "edges": dict,
    "whole graph": dict,
    "teachers": lambda: {"teacher": [trained(1), trained(2), trained(3)]},
    "domains": lambda: {"domains": torch.arange(NODES) % 3},
    "candidates": lambda: {"candidates": [gcn(5, 8), gcn(6, 12), gcn(7, 16)]},
    "modality": lambda: {"modality": torch.randn(NODES, 5, generator=torch.Generator().manual_seed(4))},
    "clients": lambda: {"data": Clients(parts(graph())), "teacher": None, "rounds": 2},
    "public": lambda: {"public": graph(seed=1)},
    "layers": lambda: {
        "student": gcn(5, 12, layers=3),
        "teacher": trained(1, layers=3),
        "layers": ("convs.0", "convs.1"),  # of one width
    },
    "sources": lambda: {"sources": torch.arange(NODES) % 4 - 1},
    "sequence": lambda: {"sequence": torch.arange(NODES) % 2},
    "feature student": lambda: {"student": mlp(5, 12)},
    "other_teacher": lambda: {"other_teacher": trained(4)},
    "second": lambda: {"second": torch.arange(NODES) // CLASSES % 4 % 2},
}


def arguments(row: Metadata) -> dict[str, Any]:
    """Arguments of ``distil`` for a method, beside its name, in the first of its tasks."""
    given: dict[str, Any] = {
        "student": gcn(5, 12),
        "teacher": trained(1),
        "data": graph(),
        "hidden": "convs.0",
        "epochs": EPOCHS,
        "save_every": 1,
        "progress": False,
        **KINDS[row.tasks[0]](),
    }
    for need in row.needs:
        if need not in GIVEN:
            raise KeyError(f"tests/methods/scene.py must say how {row.name!r} is given {need!r}")
        given |= GIVEN[need]()
    given |= OWN.get(row.name, dict)()
    if "student" in row.cannot:
        given["student"] = None
    return given


def run(row: Metadata, given: dict[str, Any] | None = None, **options: Any) -> Any:
    """Distil by a method."""
    given = {**(arguments(row) if given is None else given), **options}
    method, student, teacher, data = row.name, given.pop("student"), given.pop("teacher"), given.pop("data")
    return graphkd.distil(method, student, teacher, data, **given)
