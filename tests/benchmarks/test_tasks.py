"""Benchmarks of further tasks: every model is built and trained once, on a small set in the place of the real one."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data, HeteroData

from benchmarks import gnn
from benchmarks.graph import task_scenes
from benchmarks.graph.task_models import MODELS
from datasets.link_splits import link_split
from datasets.molecules import Graphs
from graphkd.tasks import GraphClassification, GraphRegression, LinkPrediction, NodeClassification


def nodes(seed: int) -> Data:
    generator = torch.Generator().manual_seed(seed)
    y, place = torch.arange(120) % 3, torch.arange(120) // 3 % 4
    return Data(
        x=torch.eye(3)[y] @ torch.randn(3, 20, generator=generator) + torch.randn(120, 20, generator=generator),
        edge_index=torch.randint(120, (2, 600), generator=generator),
        y=y,
        train_mask=place < 2,
        val_mask=place == 2,
        test_mask=place == 3,
        new_mask=(place == 3) & (torch.arange(120) % 2 == 0),
    )


def tagged(seed: int) -> Data:
    data = nodes(seed)
    data.y = (data.x[:, :4] > 0).float()
    return data


def graphs(seed: int, *, numbers: bool) -> Graphs:
    generator = torch.Generator().manual_seed(seed)
    made = []
    for number in range(40):
        x = torch.rand(6, 20, generator=generator)
        y = x.sum()[None] if numbers else torch.tensor([number % 2])
        made.append(Data(x=x, edge_index=torch.randint(6, (2, 10), generator=generator), y=y))
    return Graphs(made[:24], made[24:32], made[32:])


def typed(seed: int) -> HeteroData:
    whole, data = nodes(seed), HeteroData()
    data["package"].update({name: whole[name] for name in ("x", "y", "train_mask", "val_mask", "test_mask")})
    data["source"].x = torch.randn(10, 5)
    ends = torch.stack([torch.arange(120), torch.arange(120) % 10])
    data["package", "from", "source"].edge_index = ends
    data["source", "has", "package"].edge_index = ends.flip(0)
    return data


SETS = {
    "node": lambda seed, inductive: task_scenes._nodes(nodes(seed), NodeClassification, inductive=inductive, answers=3),
    "multi-label": lambda seed, inductive: task_scenes._nodes(
        tagged(seed), task_scenes.MultiLabelNodeClassification, inductive=inductive, answers=4
    ),
    "graph": task_scenes._graphs(lambda seed: graphs(seed, numbers=False), GraphClassification, 2),
    "graph-regression": task_scenes._graphs(lambda seed: graphs(seed, numbers=True), GraphRegression, 1),
    "link": lambda seed, _: (
        lambda parts: task_scenes.Loaded(parts.train, parts.train, LinkPrediction(val=parts.val, test=parts.test), 8)
    )(link_split(nodes(seed), seed)),
    "hetero": task_scenes._types(typed, "package"),
}


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(task_scenes, "SETS", {task: {"small": made} for task, made in SETS.items()})
    monkeypatch.setattr("benchmarks.tasks.SETS", task_scenes.SETS)


@pytest.mark.parametrize("task", list(SETS))
def test_every_task_has_its_table(small, task, tmp_path, capsys):
    kinds = list(MODELS[task])
    options = ["--task", task, "--teacher", kinds[0], "--student", kinds[-1], "--methods", "none,kd", "--seeds", "1"]
    rows = gnn.main([*options, "--epochs", "2", "--threads", "1", "--runs", str(tmp_path)])
    assert {row["method"] for row in rows} == {"teacher", "none", "kd"}
    assert [row for row in rows if row["metric"] == "error"] == []
    assert all(row["parameters"] > 0 for row in rows)
    assert f"small ({task})" in capsys.readouterr().out
    assert gnn.main([*options, "--epochs", "2", "--threads", "1", "--runs", str(tmp_path)]) == rows  # none runs again


def test_new_nodes_and_batches(small):
    options = ["--task", "node", "--inductive", "--batch", "32", "--methods", "kd,rkd", "--seeds", "1", "--epochs", "2"]
    rows = gnn.main([*options, "--student", "mlp"])
    metrics = {row["metric"] for row in rows if row["method"] == "rkd"}
    assert metrics == {"accuracy", "accuracy_new", "accuracy_val"}


@pytest.mark.parametrize("task", list(MODELS))
def test_every_model_is_built(small, task):
    for name in MODELS[task]:
        scene = task_scenes.TaskScene(task, "small", 0, student=name, teacher=next(iter(MODELS[task])))
        assert sum(p.numel() for p in scene.student().parameters()) > 0
