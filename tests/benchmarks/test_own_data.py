"""The benchmark on data of the user's: classes of PyG's by their paths, and files."""

from __future__ import annotations

import csv
import re

import numpy as np
import pytest
import torch

from benchmarks import gnn, tasks
from tests.datasets.toy_sets import graph, three_types

HELD = "tests.datasets.toy_sets:Held"
SHORT = ("--methods", "none,kd", "--seeds", "1", "--epochs", "2", "--threads", "1")


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("GRAPHKD_CACHE", str(tmp_path / "cache"))


def run(*options):
    rows = gnn.main([*options, *SHORT])
    assert [row["error"] for row in rows if row["metric"] == "error"] == []
    assert {row["method"] for row in rows} == {"teacher", "none", "kd"}
    return rows


@pytest.mark.parametrize(
    ("task", "kind", "options"),
    [
        ("node", "heterophilic", ()),
        ("multi-label", "labels", ("--split", "random", "--inductive")),
        ("graph", "bare graphs", ("--split", "random", "--features", "degree")),
        ("graph-regression", "regression", ("--split", "random", "--student", "gin-1")),
        ("link", "plain", ()),
        ("hetero", "types", ("--features", "degree", "--node-type", "film")),
    ],
)
def test_held_out_sets_of_every_kind(task, kind, options):
    rows = run("--task", task, "--dataset", HELD, "--dataset-args", f"kind={kind}", *options)
    assert rows[0]["dataset"] == HELD
    assert rows[0]["options"]["arguments"] == {"kind": kind}


def test_arrays(tmp_path):
    data = graph()
    np.savez(tmp_path / "mine.npz", **{name: data[name].numpy() for name in ("x", "edge_index", "y")})
    rows = run("--task", "node", "--data", str(tmp_path / "mine.npz"), "--split", "random", "--inductive")
    assert rows[0]["dataset"] == "mine"
    assert len(rows[0]["options"]["data"]) == 12
    assert "accuracy_new" in {row["metric"] for row in rows}


def test_tables(tmp_path):
    data = graph()
    with (tmp_path / "edges.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("a", "b"), *data.edge_index.T.tolist()])
    parts = ["train"] * 20 + ["val"] * 20 + ["test"] * 20
    rows = [
        (i, *x, y, part) for i, (x, y, part) in enumerate(zip(data.x.tolist(), data.y.tolist(), parts, strict=True))
    ]
    with (tmp_path / "nodes.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("id", *(f"f{k}" for k in range(8)), "label", "split"), *rows])
    files = ("--data", str(tmp_path / "edges.csv"), "--nodes", str(tmp_path / "nodes.csv"))
    assert run("--task", "node", *files)[0]["dataset"] == "edges"


def test_a_file_of_torch_with_types_of_nodes(tmp_path):
    data = three_types()[0]
    data["director"].x = torch.ones(9, 1)
    torch.save(data, tmp_path / "films.pt")
    run("--task", "hetero", "--data", str(tmp_path / "films.pt"))


def test_runs_of_other_data_are_others(tmp_path):
    for seed in (0, 1, 0):
        data = graph(seed)
        np.savez(tmp_path / "mine.npz", **{name: data[name].numpy() for name in ("x", "edge_index", "y")})
        options = ("--data", str(tmp_path / "mine.npz"), "--split", "random", "--runs", str(tmp_path / "runs"))
        run("--task", "node", *options)
    assert len(list((tmp_path / "runs" / "mine-node").rglob("rows.jsonl"))) == 6


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ("--dataset", "wordnett"),
            "'--dataset' must be one of .*, or a class, torch_geometric.datasets:Flickr, got '",
        ),
        (("--dataset", "os:system"), "must be a subclass of torch_geometric.data.Dataset, it is <built-in"),
        (("--dataset", "wordnet", "--split", "random"), "'--split'. have no effect on 'wordnet'"),
        (("--data", "nowhere.npz"), "there is no file nowhere.npz"),
        (("--data", "a.npz", "--dataset-args", "a=1"), "'--dataset-args' is of a class, '--data' names a file"),
        (("--nodes", "a.csv"), "'--nodes' goes with '--data'"),
        (("--dataset", HELD, "--dataset-args", "plain"), "must be key=value, got 'plain'"),
        (("--data", __file__), "a graph is read from .npz, .pt or .csv"),
    ],
)
def test_what_does_not_go_together(options, words, capsys):
    with pytest.raises(SystemExit):
        tasks.parse(["--task", "node", *options])
    assert re.search(words, capsys.readouterr().err)


def test_a_graph_of_another_form(capsys):
    rows = gnn.main(["--task", "hetero", "--dataset", HELD, "--dataset-args", "kind=heterophilic", *SHORT])
    assert "the graph has one type of nodes: give --task node" in rows[0]["error"]
    capsys.readouterr()
