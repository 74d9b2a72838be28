"""Train a student by every name, two epochs each, with nothing but the installed packages: ``python wheel.py``.

Prints a line a name that failed, then how many names there are, how many need no more than a student, a teacher and a
graph, and how many seconds it took; exits with 1 if any failed.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import GCN, MLP

import graphkd
import recsys

F, H, C, N = 8, 12, 3, 90
PLAIN = {"hidden", "edges", "whole graph"}  # what any two models and any graph have


def sbm(seed: int = 0) -> Data:
    """A stochastic block model with features."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(N) % C
    same = (y[:, None] == y).float()
    edges = (torch.rand(N, N, generator=generator) < 0.02 + 0.1 * same).triu(1).nonzero().t()
    x = (nn.functional.one_hot(y, C).float() @ torch.randn(C, F, generator=generator)).relu()
    x = x + 0.5 * torch.randn(N, F, generator=generator)
    place = torch.arange(N) // C % 4
    masks = {"train_mask": place < 2, "val_mask": place == 2, "test_mask": place == 3}
    return Data(x=x, edge_index=torch.cat([edges, edges.flip(0)], 1), y=y, **masks)


def numbers() -> Data:
    """The graph with a number a node."""
    data = sbm()
    data.y = data.x.sum(dim=1)
    return data


class Graphs(nn.Module):
    """A classifier of graphs, with the batch norm whose statistics GFKD reads."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv, self.norm, self.out = GCN(F, width, 1), nn.BatchNorm1d(width), nn.Linear(width, C)

    def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor) -> Tensor:
        h = self.norm(self.conv(x, edge_index)).relu()
        return self.out(h.new_zeros(int(batch.max()) + 1, h.size(1)).index_add(0, batch, h))


def links() -> dict[str, Any]:
    """The graph's edges in parts, and encoders of nodes."""
    from torch_geometric.transforms import RandomLinkSplit

    from graphkd.tasks import LinkPrediction

    torch.manual_seed(0)
    split = RandomLinkSplit(num_val=0.1, num_test=0.1, is_undirected=True, add_negative_train_samples=False)
    train, val, test = split(sbm())
    return {"student": gcn(out=8), "teacher": gcn(16, out=8), "data": train, "task": LinkPrediction(val=val, test=test)}


def gcn(width: int = H, out: int = C, layers: int = 2) -> nn.Module:
    torch.manual_seed(width)
    return GCN(F, width, layers, out)


def given(row: Any) -> dict[str, Any]:
    """What a method is given, by its metadata."""
    from graphkd.tasks import AnomalyDetection, GraphClassification, Regression

    found: dict[str, Any] = {"student": gcn(), "teacher": gcn(16), "data": sbm(), "hidden": "convs.0"}
    kind = row.tasks[0]
    if kind == "regression":
        found |= {"student": gcn(out=1), "teacher": gcn(16, out=1), "data": numbers(), "task": Regression()}
    if kind == "anomaly_detection":
        odd = sbm()
        odd.y = (torch.arange(N) % 9 == 0).long()
        width = 1 if row.name == "ordinal" else 16  # one score; as wide as the teacher's hidden layer
        found |= {"student": gcn(16, out=width), "data": odd, "task": AnomalyDetection()}
    if kind == "graph_classification":
        from torch_geometric.loader import DataLoader

        graphs = [Data(x=sbm(k).x[:9], edge_index=torch.randint(9, (2, 20)), y=torch.tensor([k % C])) for k in range(9)]
        loader = DataLoader(graphs, batch_size=3)
        found |= {"student": Graphs(H), "teacher": Graphs(16), "data": loader, "hidden": None}
        found["task"] = GraphClassification(val=loader, test=loader)
    if kind == "link_prediction":
        found |= links()
    needs: dict[str, Any] = {
        "teachers": lambda: {"teacher": [gcn(16), gcn(17), gcn(18)]},
        "clients": lambda: {"data": graphkd.Clients([sbm(1), sbm(2), sbm(4)]), "teacher": None, "rounds": 2},
        "layers": lambda: {"student": gcn(layers=3), "teacher": gcn(H, layers=3), "layers": ("convs.0", "convs.1")},
        "feature student": lambda: {"student": MLP([F, H, C], norm=None)},
        "domains": lambda: {"domains": torch.arange(N) % 3},
        "sequence": lambda: {"sequence": torch.arange(N) % 2},
        "sources": lambda: {"sources": torch.arange(N) % 4 - 1},
        "modality": lambda: {"modality": torch.randn(N, 4)},
        "public": lambda: {"public": sbm(3)},
        "candidates": lambda: {"candidates": [gcn(10), gcn(11)]},
        "other_teacher": lambda: {"other_teacher": gcn(16, out=4)},
        "second": lambda: {"second": torch.arange(N) % 4 % 2},
    }
    for need in set(row.needs) - PLAIN:
        found |= needs[need]()
    if row.name == "mugsi":  # of graphs
        found |= {"student": Graphs(H), "teacher": Graphs(16), "layers": ("conv", "out")}
    return found | ({"student": None} if "student" in row.cannot else {})


def lacking(row: Any, need: str) -> dict[str, Any]:
    """What a method is given without one thing that it needs."""
    found = given(row)
    without = {"teachers": {"teacher": gcn(16)}, "clients": {"data": sbm()}, "hidden": {"hidden": None}}
    if need == "feature student":
        return found | {"student": gcn()}
    if need in without:
        return found | without[need]
    found.pop(need, None)
    return found


def distil(row: Any, arguments: dict[str, Any]) -> Any:
    parts = [arguments.pop(name) for name in ("student", "teacher", "data")]
    return graphkd.distil(row.name, *parts, epochs=2, progress=False, **arguments)


def check(row: Any) -> None:
    """Distil, and be told what is missing where it is."""
    result = distil(row, given(row))
    assert isinstance(result.model, nn.Module)
    floats = [value for value in result.model.state_dict().values() if value.is_floating_point()]
    assert all(bool(torch.isfinite(value).all()) for value in floats)
    for need in set(row.needs) - {"edges", "whole graph"}:
        try:
            distil(row, lacking(row, need))
        except ValueError as error:
            assert repr(row.name) in str(error), error
        else:
            raise AssertionError(f"went on without {need}")


def check_ranking(row: Any, split: Any) -> None:
    """Distil a recommender on a random table."""
    from recsys.models import MF, LightGCN

    users, items = split.train.num_users, split.train.num_items
    student, teacher = MF(users, items, 4), MF(users, items, 8)
    if row.name == "lightgnn":
        student, teacher = LightGCN(split.train, 8, 2), LightGCN(split.train, 8, 3)
    result = recsys.distil(row.name, student, teacher, split, epochs=2, progress=False)
    assert isinstance(result.model, nn.Module)


def table() -> Any:
    """A random table of interactions, split at random."""
    generator = torch.Generator().manual_seed(0)
    pairs = (torch.rand(40, 60, generator=generator) < 0.3).nonzero()
    parts = pairs[torch.randperm(len(pairs), generator=generator)].tensor_split(10)
    rows = [torch.cat(parts[:8]), parts[8], parts[9]]
    return recsys.Split(*(recsys.Interactions.from_pairs(each[:, 0], each[:, 1], 40, 60) for each in rows))


def main() -> int:
    torch.set_num_threads(1)
    started, failed = time.perf_counter(), 0
    checks = [(row, lambda row=row: check(row)) for row in graphkd.methods()]
    rankings, split = recsys.methods(task="ranking"), table()
    checks += [(row, lambda row=row: check_ranking(row, split)) for row in rankings]
    for row, run in checks:
        try:
            run()
        except Exception as error:  # one name must not hide the others
            failed += 1
            print(f"{row.name}: {type(error).__name__}: {str(error)[:300]}")
    plain = sum(not set(row.needs) - PLAIN and row.tasks[0] == "node_classification" for row in graphkd.methods())
    print(f"{len(graphkd.methods())} methods on graphs, {plain} of them from a student, a teacher and a graph alone")
    print(f"{len(rankings)} rankings; {failed} failed; {time.perf_counter() - started:.0f} seconds; {graphkd.__file__}")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
