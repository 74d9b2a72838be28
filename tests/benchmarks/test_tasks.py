"""Benchmarks of further tasks: every model is built and trained once, on a small set in the place of the real one."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data, HeteroData

from benchmarks import gnn, tasks
from benchmarks.graph import task_scenes
from benchmarks.graph.task_models import MODELS, built
from benchmarks.graph.tuned_models import in_degrees
from datasets.link_splits import link_split
from datasets.loaded import loaded
from datasets.molecules import Graphs


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
        edges = torch.randint(6, (2, 10), generator=generator)
        made.append(Data(x=x, edge_index=edges, edge_attr=torch.rand(10, 3, generator=generator), y=y))
    return Graphs(made[:24], made[24:32], made[32:])


def typed(seed: int) -> HeteroData:
    whole, data = nodes(seed), HeteroData()
    data["package"].update({name: whole[name] for name in ("x", "y", "train_mask", "val_mask", "test_mask")})
    data["source"].x = torch.randn(10, 5)
    ends = torch.stack([torch.arange(120), torch.arange(120) % 10])
    data["package", "from", "source"].edge_index = ends
    data["source", "has", "package"].edge_index = ends.flip(0)
    return data


PARTS = {
    "node": nodes,
    "multi-label": tagged,
    "graph": lambda seed: graphs(seed, numbers=False),
    "graph-regression": lambda seed: graphs(seed, numbers=True),
    "link": lambda seed: link_split(nodes(seed), seed),
    "hetero": typed,
}


def small_set(task: str):
    return lambda seed, inductive: task_scenes.scene_of(
        task, loaded(task_scenes.KINDS[task], PARTS[task](seed), inductive=inductive)
    )


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(task_scenes, "SETS", {task: {"small": small_set(task)} for task in PARTS})
    monkeypatch.setattr("benchmarks.tasks.SETS", task_scenes.SETS)


@pytest.mark.parametrize("task", list(PARTS))
def test_every_task_has_its_table(small, task, tmp_path, capsys):
    kinds = list(MODELS[task])
    options = ["--task", task, "--teacher", kinds[0], "--student", kinds[-1], "--methods", "none,kd", "--seeds", "1"]
    rows = gnn.main([*options, "--epochs", "2", "--threads", "1", "--runs", str(tmp_path)])
    assert {row["method"] for row in rows} == {"teacher", "none", "kd"}
    assert [row for row in rows if row["metric"] == "error"] == []
    assert all(row["parameters"] > 0 for row in rows)
    assert f"small ({task})" in capsys.readouterr().out
    assert gnn.main([*options, "--epochs", "2", "--threads", "1", "--runs", str(tmp_path)]) == rows  # none runs again


def test_rows_of_nodes_and_of_graphs_are_given(small):
    rows = gnn.main(["--task", "graph", "--student", "set", "--methods", "mugsi", "--seeds", "1", "--epochs", "2"])
    assert {row["method"] for row in rows if row["metric"] == "accuracy"} == {"teacher", "mugsi"}


@pytest.mark.parametrize("batch", [[], ["--batch", "32"]])
def test_a_teacher_of_columns_teaches_a_student_of_all_words(small, monkeypatch, batch):
    def words(seed: int, inductive: bool) -> task_scenes.Seen:
        parts = PARTS["node"](seed)
        parts.x = parts.x.relu().to_sparse_csr()
        return task_scenes.scene_of("node", loaded("node_classification", parts, inductive=inductive))

    monkeypatch.setitem(task_scenes.SETS["node"], "words", words)
    monkeypatch.setattr(task_scenes, "WORDS", {"words": "small"})
    options = ["--task", "node", "--inductive", "--seeds", "1", "--epochs", "2", "--student", "mlp"]
    rows = gnn.main([*options, *batch, "--dataset", "words", "--methods", "none,kd"])
    assert {row["method"] for row in rows if row["metric"] == "accuracy_new"} == {"teacher", "none", "kd"}
    plain = gnn.main([*options, "--dataset", "small", "--methods", "none"])
    teachers = [[row["value"] for row in each if row["method"] == "teacher"] for each in (rows, plain)]
    assert teachers[0] == teachers[1]


def test_new_nodes_and_batches(small):
    options = ["--task", "node", "--inductive", "--batch", "32", "--methods", "kd,rkd", "--seeds", "1", "--epochs", "2"]
    rows = gnn.main([*options, "--student", "mlp"])
    metrics = {row["metric"] for row in rows if row["method"] == "rkd"}
    assert metrics == {f"{name}{end}" for name in ("accuracy", "macro_f1") for end in ("", "_new", "_val")}


TUNE = ["--tune", "2", "--tune-finalists", "1", "--tune-seeds", "1"]


@pytest.mark.parametrize("task", list(MODELS))
def test_settings_are_searched(small, task):
    options = ["--task", task, "--methods", "kd", "--seeds", "1", "--epochs", "2", "--threads", "1"]
    rows = [row for row in gnn.main([*options, *TUNE]) if row["method"] == "kd"]
    assert [row for row in rows if row["metric"] == "error"] == []
    assert all((row["tuned"], row["trials"], row["finalists"], row["tuning_seeds"]) == (True, 2, 1, 1) for row in rows)
    found = {"lr", "weight_decay", "dropout"}
    assert all(found < row["settings"].keys() for row in rows)


def test_settings_are_searched_of_batches_and_of_students_that_methods_make(small):
    options = ["--task", "node", "--inductive", "--batch", "32", "--methods", "kd,nosmog", "--seeds", "1"]
    rows = gnn.main([*options, "--epochs", "2", "--student", "mlp", *TUNE, "--set", "kd.dropout=0.3"])
    assert [row for row in rows if row["metric"] == "error"] == []
    assert {row["settings"]["dropout"] for row in rows if row["method"] == "kd"} == {0.3}
    assert {row["tuned"] for row in rows if row["method"] == "nosmog"} == {True}


def test_settings_of_nodes_are_not_taken_for_links(capsys):
    options = ["--dataset", "cora", "--methods", "none,kd", "--settings", "tuned"]
    assert "lr" in tasks.parse(["--task", "node", *options]).given["kd"]
    with pytest.raises(SystemExit):
        tasks.parse(["--task", "link", *options])
    assert "'--settings tuned' is of no effect: cora.toml has nothing for ['none', 'kd']" in capsys.readouterr().err


@pytest.mark.parametrize("task", list(MODELS))
def test_every_model_is_built(small, task):
    for name in MODELS[task]:
        scene = task_scenes.TaskScene(task, "small", 0, student=name, teacher=next(iter(MODELS[task])))
        assert sum(p.numel() for p in scene.student().parameters()) > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "name"), [(task, name) for task in MODELS for name in MODELS[task] if name not in list(MODELS[task])[:1]]
)
def test_every_model_teaches_by_its_hidden_layer(small, task, name):
    student = list(MODELS[task])[-1]
    methods = "rkd,mugsi" if task == "graph" else "rkd"
    options = ["--teacher", name, "--student", student, "--methods", methods, "--seeds", "1", "--epochs", "1"]
    rows = gnn.main(["--task", task, *options])
    assert [row["error"] for row in rows if row["metric"] == "error"] == []


def test_pna_counts_the_degrees_of_all_training_graphs(small):
    scene = task_scenes.TaskScene("graph", "small", 0, student="set", teacher="pna")
    degrees = in_degrees(scene.data.dataset)
    assert int(degrees.sum()) == 24 * 6
    assert int((degrees * torch.arange(len(degrees))).sum()) == 24 * 10


def test_gine_needs_features_of_edges(small):
    scene = task_scenes.TaskScene("graph", "small", 0, student="set", teacher="gin")
    del scene.example.edge_attr
    with pytest.raises(ValueError, match=r"'gine' reads features of edges, 'edge_attr', .* choose 'gin'"):
        built("graph", "gine", scene.example, 2, width=8, dropout=0.0)


def test_rgcn_and_hgt_by_hand():
    """RGCN as its definition, relation by relation; HGT answers for all types that edges enter."""
    data = typed(0)
    torch.manual_seed(0)
    rgcn, hgt = (built("hetero", name, data, 3, width=8, dropout=0.0).eval() for name in ("rgcn", "hgt"))
    found = rgcn(data.x_dict, data.edge_index_dict)
    assert {kind: rows.shape for kind, rows in found.items()} == {"package": (120, 3), "source": (10, 3)}
    x = {kind: rgcn.maps[k](data[kind].x).relu() for k, kind in enumerate(rgcn.types)}
    for conv, last in zip(rgcn.convs, (False, True), strict=True):
        weight = torch.einsum("rb,bio->rio", conv.comp, conv.weight)
        new = {kind: rows @ conv.root + conv.bias for kind, rows in x.items()}
        for k, (source, _, target) in enumerate(rgcn.relations):
            ends = data[rgcn.relations[k]].edge_index
            sums = torch.zeros_like(new[target]).index_add_(0, ends[1], x[source][ends[0]] @ weight[k])
            counts = ends[1].bincount(minlength=len(sums)).clamp(min=1)[:, None]
            new[target] = new[target] + sums / counts
        x = new if last else {kind: rows.relu() for kind, rows in new.items()}
    for kind in found:
        torch.testing.assert_close(found[kind], x[kind])
    assert set(hgt(data.x_dict, data.edge_index_dict)) == {"package", "source"}
