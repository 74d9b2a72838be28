"""Public sets through PyG's and OGB's classes, on small raw files of their formats in the place of a download."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import sparse
from torch_geometric.data import InMemoryDataset
from torch_geometric.datasets import DBLP, PPI, Amazon, Coauthor, Planetoid

from datasets import CATALOGUE, load, pyg_sets
from datasets.checked import Built
from datasets.dotted import dataset_class
from tests.datasets.test_checked import npz
from tests.datasets.toy_sets import graph, small_graphs


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.delenv("GRAPHKD_MIRROR", raising=False)
    monkeypatch.setenv("GRAPHKD_CACHE", str(tmp_path))


@pytest.fixture
def unchecked(monkeypatch):
    """The sets without their sums, which made files cannot meet."""
    bare = {name: (path, arguments, {}) for name, (path, arguments, _) in pyg_sets.SETS.items()}
    monkeypatch.setattr(pyg_sets, "SETS", bare)


@pytest.mark.parametrize(("kind", "name"), [(Amazon, "amazon-photo"), (Coauthor, "coauthor-cs")])
def test_made_files_do_not_pass_for_the_real_ones(monkeypatch, kind, name):
    monkeypatch.setattr(kind, "download", lambda self: npz(self.raw_paths[0]))
    with pytest.raises(RuntimeError, match=r"npz has the wrong checksum: expected git:[0-9a-f]{40}, got git:"):
        load(name)


def test_every_file_of_pubmed_is_known(monkeypatch):
    _, arguments, sums = pyg_sets.SETS["pubmed"]
    names = ("x", "tx", "allx", "y", "ty", "ally", "graph", "test.index")
    assert set(sums) == {f"ind.{arguments['name'].lower()}.{name}" for name in names}
    read = []
    monkeypatch.setattr(Planetoid, "download", lambda self: [Path(p).write_bytes(b"cos\n") for p in self.raw_paths])
    monkeypatch.setattr(Planetoid, "process", lambda self: read.append(self))
    with pytest.raises(RuntimeError, match="allx has the wrong checksum: expected git:"):
        load("pubmed")
    assert read == []  # pickles, none of which was opened


@pytest.mark.parametrize(("kind", "name"), [(Amazon, "amazon-computers"), (Coauthor, "coauthor-physics")])
def test_shops_and_authors(monkeypatch, unchecked, kind, name):
    monkeypatch.setattr(kind, "download", lambda self: npz(self.raw_paths[0]))
    monkeypatch.setattr(pyg_sets, "TRAIN", 5)
    monkeypatch.setattr(pyg_sets, "VAL", 7)
    data, task = load(name, seed=3)
    assert task.kind == "node_classification"
    assert [int(data[f"{part}_mask"].sum()) for part in ("train", "val", "test")] == [10, 14, 96]
    assert data.is_undirected()
    assert not torch.equal(load(name, seed=4).data.train_mask, data.train_mask)
    assert "edge_label_index" in load(name, task="link_prediction").data


def tissues(self):
    """Raw files of PPI: two graphs a part, whose nodes are numbered through."""
    generator = np.random.RandomState(0)
    for part in ("train", "valid", "test"):
        links = [{"source": a, "target": (a + 1) % 4 + 4 * (a // 4)} for a in range(8)]
        nodes = [{"id": number} for number in range(8)]
        made = {"directed": True, "multigraph": False, "graph": {}, "nodes": nodes, "links": links}
        Path(self.raw_dir, f"{part}_graph.json").write_text(json.dumps(made))
        np.save(f"{self.raw_dir}/{part}_feats.npy", generator.rand(8, 5))
        np.save(f"{self.raw_dir}/{part}_labels.npy", generator.randint(2, size=(8, 3)))
        np.save(f"{self.raw_dir}/{part}_graph_id.npy", np.repeat([1, 2], 4))


def test_tissues_are_one_graph_of_pieces(monkeypatch):
    monkeypatch.setattr(PPI, "download", tissues)
    data, task = load("ppi")
    assert task.kind == "multi_label_node_classification"
    assert data.x.shape == (24, 5)
    assert data.y.shape == (24, 3)
    assert data.test_mask.nonzero()[:, 0].tolist() == list(range(16, 24))
    part = data.train_mask * 0 + data.val_mask * 1 + data.test_mask * 2
    assert torch.equal(*part[data.edge_index])
    seen, task = load("ppi", inductive=True)
    assert seen.num_nodes == 16
    assert int(task.new.sum()) == 8


def authors(self):
    """Raw files of DBLP: 6 authors, 5 papers, 4 terms, 3 conferences."""
    counts = [6, 5, 4, 3]
    for number, count in enumerate(counts[:2]):
        sparse.save_npz(f"{self.raw_dir}/features_{number}.npz", sparse.csr_matrix(np.ones((count, 3), np.float32)))
    np.save(f"{self.raw_dir}/features_2.npy", np.ones((4, 2), np.float32))
    np.save(f"{self.raw_dir}/node_types.npy", np.repeat(range(4), counts))
    np.save(f"{self.raw_dir}/labels.npy", np.arange(6) % 2)
    np.savez(f"{self.raw_dir}/train_val_test_idx.npz", train_idx=[0, 1], val_idx=[2, 3], test_idx=[4, 5])
    joined = np.zeros((18, 18))
    joined[:6, 6:11] = joined[6:11, 15:] = 1
    sparse.save_npz(f"{self.raw_dir}/adjM.npz", sparse.csr_matrix(joined + joined.T))


def test_conferences_get_features(monkeypatch):
    monkeypatch.setattr(DBLP, "download", authors)
    for _ in range(2):
        data, task = load("dblp")
        assert task.node_type == "author"
        assert torch.equal(data["conference"].x, torch.eye(3))
        assert data["author"].test_mask.tolist() == [False] * 4 + [True] * 2


# ----------------------------------------------------------------------------------- OGB
def table(path, rows):
    import pandas as pd

    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(path, header=False, index=False, compression="gzip")


def arxiv(self):
    """Raw files of OGB's node sets."""
    root, generator = Path(self.root), np.random.RandomState(0)
    root.joinpath("RELEASE_v1.txt").write_text("")
    tables = {
        "edge": generator.randint(30, size=(90, 2)),
        "node-feat": generator.rand(30, 4),
        "node-label": np.arange(30)[:, None] % 3,
        "node_year": np.full((30, 1), 2018),
        "num-node-list": [[30]],
        "num-edge-list": [[90]],
    }
    for name, rows in tables.items():
        table(root / "raw" / f"{name}.csv.gz", rows)
    for number, name in enumerate(("train", "valid", "test")):
        table(root / "split" / "time" / f"{name}.csv.gz", np.arange(10)[:, None] + 10 * number)


def molecules(self):
    """Raw files of OGB's graph sets."""
    root = Path(self.root)
    root.joinpath("RELEASE_v1.txt").write_text("")
    tables = {
        "edge": [[0, 1], [1, 2]] * 10,
        "node-feat": [[6, 0, 3, 5, 2, 0, 1, 0, 1]] * 30,
        "edge-feat": [[1, 0, 1]] * 20,
        "graph-label": np.arange(10)[:, None] % 2,
        "num-node-list": [[3]] * 10,
        "num-edge-list": [[2]] * 10,
    }
    for name, rows in tables.items():
        table(root / "raw" / f"{name}.csv.gz", rows)
    for name, rows in {"train": range(6), "valid": (6, 7), "test": (8, 9)}.items():
        table(root / "split" / "scaffold" / f"{name}.csv.gz", [[row] for row in rows])


def check_arxiv():
    for _ in range(2):
        data, _ = load("ogbn-arxiv")
        assert data.y.tolist() == [number % 3 for number in range(30)]
        assert data.is_undirected()
        assert data.val_mask.nonzero()[:, 0].tolist() == list(range(10, 20))


def check_molhiv():
    for _ in range(2):
        loader, task = load("ogbg-molhiv")
        assert task.metrics == ("roc_auc",)
        assert [len(each.dataset) for each in (loader, task.val, task.test)] == [6, 2, 2]
        batch = next(iter(task.test))
        assert batch.x.sum(dim=1).tolist() == [9] * 6
        assert batch.edge_attr.shape == (8, sum(BONDS))
        assert batch.y.tolist() == [0, 1]


BONDS = [5, 6, 2]


@pytest.mark.filterwarnings("ignore")  # OGB's, of newer pandas
def test_ogbs_own_classes(monkeypatch):
    nodes = pytest.importorskip("ogb.nodeproppred").PygNodePropPredDataset
    graphs = pytest.importorskip("ogb.graphproppred").PygGraphPropPredDataset
    monkeypatch.setattr(nodes, "download", arxiv)
    monkeypatch.setattr(graphs, "download", molecules)
    check_arxiv()
    check_molhiv()


def test_ogb_in_small(monkeypatch):
    """As ``test_ogbs_own_classes`` where OGB is not installed, which the tests do without."""

    def graphs(path, name, arguments, **_):
        if name == "ogbn-arxiv":
            data = graph()
            data.x, data.y, data.num_nodes = data.x[:30], data.y[:30, None], 30
            data.edge_index = data.edge_index[:, (data.edge_index < 30).all(dim=0)]
            return Built([data], {part: torch.arange(10) + 10 * k for k, part in enumerate(("train", "valid", "test"))})
        made = small_graphs(10)
        for each in made:
            each.x = torch.tensor([[6, 0, 3, 5, 2, 0, 1, 0, 1]]).repeat(3, 1)
            each.edge_index, each.num_nodes = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), 3
            each.edge_attr, each.y = torch.tensor([[1, 0, 1]]).repeat(4, 1), each.y[:, None]
        return Built(
            _Set(made), {"train": torch.arange(6), "valid": torch.tensor([6, 7]), "test": torch.tensor([8, 9])}
        )

    features = types.SimpleNamespace(
        get_atom_feature_dims=lambda: [119, 5, 12, 12, 10, 6, 6, 2, 2], get_bond_feature_dims=lambda: BONDS
    )
    monkeypatch.setitem(sys.modules, "ogb", types.ModuleType("ogb"))
    monkeypatch.setitem(sys.modules, "ogb.utils", types.ModuleType("ogb.utils"))
    monkeypatch.setitem(sys.modules, "ogb.utils.features", features)
    monkeypatch.setattr(pyg_sets, "dataset_class", lambda path: path)
    monkeypatch.setattr(pyg_sets, "built", graphs)
    check_arxiv()
    check_molhiv()


class _Set(InMemoryDataset):
    def __init__(self, graphs):
        super().__init__()
        self.data, self.slices = self.collate(graphs)


def test_ogb_that_is_not_installed_is_said_in_words(monkeypatch):
    monkeypatch.setitem(sys.modules, "ogb", None)
    for name in ("ogbn-arxiv", "ogbn-products", "ogbg-molhiv"):
        with pytest.raises(ValueError, match=r"there is no module .*: pip install ogb"):
            load(name)


def test_every_class_is_one_of_pygs():
    for path, arguments, sums in pyg_sets.SETS.values():
        if path.startswith("torch_geometric"):
            assert dataset_class(path).__module__.startswith("torch_geometric.datasets")
        assert all(text.partition(":")[0] in ("sha256", "git") for text in sums.values())
        assert set(arguments) <= {"name"}
    assert set(pyg_sets.SETS) <= set(CATALOGUE)
