"""Graphs from files: what was written is what is read, and what is wrong is said with file and line."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch_geometric.data import Data, HeteroData
from torch_geometric.nn import MLP

import graphkd
from graphkd.loaders import read_graph

EDGES = torch.tensor([[0, 1, 2, 2], [1, 2, 0, 2]])


def arrays(**changes):
    entries = {"edge_index": EDGES.numpy(), "x": np.eye(3, 4, dtype=np.float32), "y": np.arange(3), **changes}
    return {name: value for name, value in entries.items() if value is not None}


def written(folder, rows, name):
    with (path := folder / name).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path


# ------------------------------------------------------------------------------ arrays
def test_arrays(tmp_path):
    np.savez(
        tmp_path / "g.npz", **arrays(train_mask=np.array([True, False, True]), colour=np.array([1, 2, 3], np.uint16))
    )
    data = read_graph(tmp_path / "g.npz")
    assert torch.equal(data.edge_index, EDGES)
    assert torch.equal(data.x, torch.eye(3, 4))
    assert data.train_mask.tolist() == [True, False, True]
    assert data.colour.tolist() == [1, 2, 3]


def test_sparse_features(tmp_path):
    rows = {"x_indptr": np.array([0, 1, 1, 3]), "x_indices": np.array([2, 0, 1]), "x_data": np.array([1.0, 2, 3])}
    np.savez(tmp_path / "g.npz", **arrays(x=None, **rows, x_shape=np.array([3, 5])))
    wanted = torch.tensor([[0, 0, 1, 0, 0], [0, 0, 0, 0, 0], [2, 3, 0, 0, 0]]).float()
    assert torch.equal(read_graph(tmp_path / "g.npz").x.to_dense(), wanted)
    np.savez(tmp_path / "g.npz", **arrays(x_indptr=rows["x_indptr"]))
    with pytest.raises(ValueError, match=r"sparse features are \('x_indptr', .*, it has only \['x_indptr'\]"):
        read_graph(tmp_path / "g.npz")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"edge_index": None}, "must have 'edge_index', .* it has"),
        ({"x": None}, "must have 'x'"),
        ({"edge_index": EDGES.T.numpy()}, r"'edge_index' must be \(2, E\) whole numbers, got torch.int64 \(4, 2\)"),
        ({"edge_index": EDGES.float().numpy()}, "whole numbers, got torch.float32"),
        ({"edge_index": np.array([[0], [3]])}, "must name 3 nodes, from 0 to 2, got 0 to 3"),
        ({"edge_index": np.array([[0], [-1]])}, "got -1 to 0"),
        ({"y": np.arange(2)}, "'y' must have a row for each of 3 nodes"),
        ({"name": np.array(["a", "b", "c"])}, "'name' must hold numbers, got <U1"),
    ],
)
def test_wrong_arrays(tmp_path, changes, words):
    np.savez(tmp_path / "g.npz", **arrays(**changes))
    with pytest.raises(ValueError, match=words):
        read_graph(tmp_path / "g.npz")


def test_objects_are_not_read(tmp_path):
    np.savez(tmp_path / "g.npz", **arrays(text=np.array([{"a": 1}], dtype=object)))
    with pytest.raises(ValueError, match=r"g.npz' must be an .npz of plain arrays, no objects"):
        read_graph(tmp_path / "g.npz")


# -------------------------------------------------------------------------- PyG's data
def test_data_that_torch_saved(tmp_path):
    data = Data(x=torch.randn(3, 2), edge_index=EDGES, y=torch.arange(3))
    torch.save(data, tmp_path / "g.pt")
    found = read_graph(tmp_path / "g.pt")
    assert torch.equal(found.x, data.x)
    assert torch.equal(found.edge_index, EDGES)
    torch.save({"x": data.x, "edge_index": EDGES}, tmp_path / "g.pt")
    assert torch.equal(read_graph(tmp_path / "g.pt").x, data.x)


def test_heterogeneous_data_that_torch_saved(tmp_path):
    data = HeteroData()
    data["a"].x, data["a", "to", "a"].edge_index = torch.randn(3, 2), EDGES
    torch.save(data, tmp_path / "g.pt")
    assert torch.equal(read_graph(tmp_path / "g.pt")["a"].x, data["a"].x)


class Thing:
    """What a file may not bring."""


def test_other_objects_are_refused(tmp_path):
    torch.save(Thing(), tmp_path / "g.pt")
    with pytest.raises(ValueError, match="must hold PyG's Data or HeteroData, or a mapping of tensors, and nothing"):
        read_graph(tmp_path / "g.pt")
    torch.save([1, 2], tmp_path / "g.pt")
    with pytest.raises(TypeError, match="got list"):
        read_graph(tmp_path / "g.pt")


# ------------------------------------------------------------------------------ tables
NODES = [["id", "a", "b", "y", "split"], ["n1", "1", "2.5", "cat", "train"], ["n2", "0", "-1", "", ""]]
NODES += [["n3", "3", "1e3", "ant", "test"]]


def test_tables(tmp_path):
    edges = written(tmp_path, [["from", "to"], ["n1", "n3"], ["n3", "n2"]], "edges.csv")
    data = read_graph(edges, written(tmp_path, NODES, "nodes.csv"))
    assert data.x.tolist() == [[1, 2.5], [0, -1], [3, 1000]]
    assert data.edge_index.tolist() == [[0, 2], [2, 1]]
    assert data.y.tolist() == [1, -1, 0]
    assert data.class_names == ["ant", "cat"]
    assert data.node_names == ["n1", "n2", "n3"]
    assert data.train_mask.tolist() == [True, False, False]
    assert "val_mask" not in data


def test_classes_that_are_numbers_are_in_their_order(tmp_path):
    nodes = written(tmp_path, [["id", "x", "label"], *[[str(n), "0", str(n % 11)] for n in range(22)]], "nodes.csv")
    data = read_graph(written(tmp_path, [["a", "b"]], "edges.csv"), nodes)
    assert torch.equal(data.y, torch.arange(22) % 11)
    assert data.edge_index.shape == (2, 0)


NAMES = st.text(st.characters(blacklist_characters="\0\r\n\ufeff", blacklist_categories=["Cs"]), min_size=1, max_size=5)


@given(names=st.lists(NAMES, min_size=1, max_size=8, unique=True), data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_names_and_numbers(tmp_path, names, data):
    numbers = st.floats(width=32, allow_nan=False, allow_infinity=False)
    x = [[data.draw(numbers) for _ in range(2)] for _ in names]
    rows = [[name, *map(repr, row)] for name, row in zip(names, x, strict=True)]
    place = st.sampled_from(range(len(names)))
    ends = data.draw(st.lists(st.tuples(place, place), max_size=6))
    edges = written(tmp_path, [["s", "t"], *[[names[a], names[b]] for a, b in ends]], "e.csv")
    found = read_graph(edges, written(tmp_path, [["id", "a", "b"], *rows], "n.csv"))
    assert found.node_names == names
    assert torch.equal(found.x, torch.tensor(x))
    assert found.edge_index.T.tolist() == [list(pair) for pair in ends]


@pytest.mark.parametrize(
    ("nodes", "edges", "words"),
    [
        ([*NODES, ["n1", "1", "1", "", ""]], [["a", "b"]], r"nodes.csv, line 5: the node 'n1' is there twice"),
        ([*NODES, ["n4", "one", "1", "", ""]], [["a", "b"]], r"line 5: 'a' must be a number, got 'one'"),
        ([*NODES, ["n4", "1"]], [["a", "b"]], r"line 5: 5 columns are expected, got 2"),
        (
            [*NODES, ["n4", "1", "1", "", "dev"]],
            [["a", "b"]],
            r"'split' must be train, val, valid, test or empty, got 'dev'",
        ),
        (NODES, [["a", "b"], ["n1", "n9"]], r"edges.csv, line 2: the table of nodes has no 'n9'"),
        (NODES, [["a"], ["n1"]], r"edges.csv must have two columns of node ids"),
        ([["id", "y"], ["n1", "1"]], [["a", "b"]], "must have a column of numbers at least"),
        ([["id", "a"]], [["a", "b"]], "must have a line of names and a line for each node"),
    ],
)
def test_wrong_tables(tmp_path, nodes, edges, words):
    with pytest.raises(ValueError, match=words):
        read_graph(written(tmp_path, edges, "edges.csv"), written(tmp_path, nodes, "nodes.csv"))


def test_other_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        read_graph(tmp_path / "g.npz")
    (tmp_path / "g.txt").touch()
    with pytest.raises(ValueError, match=r"a graph is read from .npz, .pt or .csv"):
        read_graph(tmp_path / "g.txt")
    edges = written(tmp_path, [["a", "b"]], "edges.csv")
    with pytest.raises(ValueError, match="give nodes=, a table of their features"):
        read_graph(edges)
    np.savez(tmp_path / "g.npz", **arrays())
    with pytest.raises(ValueError, match=r"'nodes' goes with edges as .csv"):
        read_graph(tmp_path / "g.npz", edges)


def test_a_graph_of_tables_is_learnt(tmp_path):
    rows = [["id", "a", "b", "label", "split"]]
    rows += [
        [f"n{n}", n % 2, 1 - n % 2, "even" if n % 2 else "odd", ("train", "val", "test")[n % 3]] for n in range(30)
    ]
    data = read_graph(written(tmp_path, [["a", "b"], ["n0", "n1"]], "e.csv"), written(tmp_path, rows, "n.csv"))
    found = graphkd.distil("none", MLP([2, 8, 2], norm=None), None, data, epochs=30, progress=False)
    assert found.scores["test"]["accuracy"] == 1.0
