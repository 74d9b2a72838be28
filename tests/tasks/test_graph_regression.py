"""Numbers of graphs: several targets of unlike scales, gaps among them, and their errors by loops."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader
from torch_geometric.nn import GCNConv, global_add_pool

import graphkd
from graphkd.tasks import GraphRegression

TARGETS = 2


def molecules(count: int = 60, seed: int = 0, *, gaps: bool = False) -> list[Data]:
    """Graphs whose first number is their sum of features, the second a thousand times their edges' agreement."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for number in range(count):
        x = torch.randn(6, 3, generator=generator)
        edge_index = torch.randint(6, (2, 10), generator=generator)
        y = torch.stack([x[:, 0].sum(), 1000 * (x[edge_index[0], 1] * x[edge_index[1], 1]).mean()])
        if gaps and number % 3 == 0:
            y[number % 2] = torch.nan
        found.append(Data(x=x, edge_index=edge_index, y=y[None]))
    return found


class Net(nn.Module):
    def __init__(self, seed: int = 0, width: int = 16) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.conv, self.last = GCNConv(3, width), nn.Linear(width, TARGETS)

    def forward(self, x, edge_index, batch):
        return self.last(global_add_pool(self.conv(x, edge_index).relu(), batch))


def run(method, data, teacher=None, **options):
    task = GraphRegression(val=DataLoader(molecules(20, 1), 8), test=DataLoader(molecules(20, 2), 8))
    loader = DataLoader(data, 16, shuffle=True)
    return graphkd.distil(method, Net(1), teacher, loader, task=task, progress=False, **{"epochs": 30, **options})


def test_runs_with_gaps():
    teacher = run("none", molecules(gaps=True))
    assert teacher.scores["test"]["explained"] > 0.1
    taught = run("kd", molecules(gaps=True), teacher.model, epochs=10)
    assert set(taught.scores["val"]) == {"explained", "rmse", "mae"}


def test_losses_are_in_units_of_each_target_s_spread():
    data = molecules(gaps=True)
    ready = GraphRegression().prepare(DataLoader(data, 16))
    y = torch.cat([each.y for each in data])
    for batch in ready:
        wanted = torch.stack([column[~column.isnan()].std(correction=0) for column in y.T])
        torch.testing.assert_close(batch["y_scale"], wanted)


def test_one_target_has_its_own_unit():
    for each in (data := molecules(12)):
        each.y = each.y[0, :1]
    batch = next(iter(GraphRegression().prepare(DataLoader(data, 6))))
    assert "y_scale" not in batch
    assert batch["y"].shape == (6, 1)


def test_scores():
    data, model = molecules(30, 3, gaps=True), Net()
    found = GraphRegression(test=DataLoader(data, 7)).score(model, None, "test")
    answers = [model(g.x, g.edge_index, torch.zeros(6, dtype=torch.long))[0].detach() for g in data]
    each = {"explained": [], "rmse": [], "mae": []}
    for target in range(TARGETS):
        pairs = [(float(a[target]), float(g.y[0, target])) for a, g in zip(answers, data, strict=True)]
        pairs = [(a, y) for a, y in pairs if y == y]
        mse = sum((a - y) ** 2 for a, y in pairs) / len(pairs)
        mean = sum(y for _, y in pairs) / len(pairs)
        each["explained"].append(1 - mse / (sum((y - mean) ** 2 for _, y in pairs) / len(pairs)))
        each["rmse"].append(mse**0.5)
        each["mae"].append(sum(abs(a - y) for a, y in pairs) / len(pairs))
    assert found == pytest.approx({name: sum(values) / TARGETS for name, values in each.items()}, rel=1e-4)


def test_a_model_that_does_not_pool_is_refused():
    with pytest.raises(ValueError, match="the model must answer each of 5 graphs, got 30 rows: pool its nodes"):
        GraphRegression(val=DataLoader(molecules(5), 5)).score(nn.Linear(3, 2), None, "val", lambda m, b: m(b["x"]))
