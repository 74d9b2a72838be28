"""Three clients of a graph of thirty nodes, and the rows that all see."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import MLP

import graphkd
from graphkd import Clients
from tests.core.models import CLASSES, FEATURES, gcn, graph

PUBLIC, PARTS = torch.arange(0, 10), (torch.arange(10, 18), torch.arange(18, 23), torch.arange(23, 30))
SIZES = [8, 5, 7]


def part(rows: Tensor) -> Data:
    """Nodes of the graph with their edges, all of them labelled."""
    data = graph().subgraph(rows)
    data.train_mask[:] = True
    return data


def public() -> Data:
    """The rows that all see."""
    return part(PUBLIC)


def mlp() -> MLP:
    torch.manual_seed(3)
    return MLP([FEATURES, 5, CLASSES], norm=None)


def models() -> list[nn.Module]:
    """Three architectures."""
    return [gcn(0), mlp(), gcn(2, width=4)]


def clients(*, mixed: bool = False) -> Clients:
    return Clients([part(rows) for rows in PARTS], models() if mixed else None)


def run(name: str, *, mixed: bool = False, **options: Any) -> Any:
    """Two short rounds of a method, of one architecture or of three."""
    options = {"rounds": 2, "local_epochs": 3, "progress": False, **options}
    row = next(row for row in graphkd.methods() if row.name == name)
    if "public" in row.needs:
        options = {"public": public(), **options}
    if "distil_epochs" in row.settings:
        options = {"distil_epochs": 4, **options}
    return graphkd.distil(name, None if mixed else gcn(0), None, clients(mixed=mixed), **options)


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def apart(one: nn.Module | dict[str, Tensor], other: nn.Module | dict[str, Tensor]) -> float:
    """The largest difference of two models' weights."""
    first, second = (weights(each) if isinstance(each, nn.Module) else each for each in (one, other))
    assert first.keys() == second.keys()
    return max(float((first[name] - second[name]).abs().max()) for name in first)


@torch.no_grad()
def answer(model: nn.Module, data: Data) -> Tensor:
    """Log-probabilities of a graph's rows."""
    inputs = {"x": data.x} if isinstance(model, MLP) else {"x": data.x, "edge_index": data.edge_index}
    return model.eval()(**inputs).log_softmax(dim=1)
