"""CPF's Cora and CiteSeer: published sizes and check values, and the pre-processing on a small graph."""

import hashlib
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from datasets import cpf
from datasets.splits import per_class_split

# nodes, undirected edges, features, class sizes, mean non-zeros per row
SIZES = {
    "cora": (2485, 5069, 1433, [285, 406, 726, 379, 214, 131, 344], 18.30),
    "citeseer": (2110, 3668, 3703, [115, 463, 388, 304, 532, 308], 32.07),
}
# first training ids, then the first 16 digits of the sha256 of the training, validation and test ids
SPLITS = {
    ("cora", 0): (
        [319, 1474, 704, 1677, 1564, 261, 884, 2025],
        ["936d7398e0bbb68f", "44556660fa064917", "14f613db74073dbc"],
    ),
    ("cora", 1): (
        [710, 882, 1376, 1660, 2314, 2061, 747, 1915],
        ["05945979c04871dc", "beddda1e24973f38", "d04c92a15cf7525b"],
    ),
    ("citeseer", 0): (
        [182, 1350, 1188, 742, 140, 1457, 1713, 1626],
        ["5627ad95f717016c", "5ebbf6e9f2bc8bb1", "9e7b2d665c2eb8e8"],
    ),
    ("citeseer", 1): (
        [1742, 669, 922, 1546, 1285, 1961, 1340, 947],
        ["191a30cdddaf93ee", "938c025426a044c9", "0c822a4986d19dd7"],
    ),
}


@pytest.mark.parametrize("name", SIZES)
def test_sizes(name, needs_dataset):
    needs_dataset(name, "cpf")
    data = cpf.cpf(name)
    nodes, edges, features, classes, density = SIZES[name]
    assert data.x.shape == (nodes, features)
    assert data.edge_index.shape == (2, 2 * edges)
    assert data.y.bincount().tolist() == classes
    assert round(float((data.x != 0).sum(dim=1).float().mean()), 2) == density
    assert data.x.unique().tolist() == [0.0, 1.0]
    assert len(reached(data.edge_index.numpy(), nodes)) == nodes


@pytest.mark.parametrize(("name", "seed"), SPLITS)
def test_splits(name, seed, needs_dataset):
    needs_dataset(name, "cpf")
    data = cpf.cpf(name, seed)
    first, hashes = SPLITS[name, seed]
    classes = len(SIZES[name][3])
    split = per_class_split(data.y.numpy(), 20, 30, seed)
    assert [len(part) for part in split] == [20 * classes, 30 * classes, data.num_nodes - 50 * classes]
    assert split.train[:8].tolist() == first
    assert [hashlib.sha256(part.astype("<i8").tobytes()).hexdigest()[:16] for part in split] == hashes
    for part, mask in zip(split, (data.train_mask, data.val_mask, data.test_mask), strict=True):
        assert mask.nonzero().flatten().tolist() == sorted(part.tolist())


def reached(edge_index, nodes):
    """The nodes that a walk from node 0 can reach."""
    neighbours = [[] for _ in range(nodes)]
    for source, target in edge_index.T.tolist():
        neighbours[source].append(target)
    seen, front = {0}, [0]
    while front:
        new = [node for node in neighbours[front.pop()] if node not in seen]
        seen.update(new)
        front.extend(new)
    return seen


def save(path, adjacency, features, labels):
    arrays = {"labels": labels}
    for kind, matrix in (("adj", adjacency), ("attr", features)):
        arrays |= {f"{kind}_{part}": getattr(matrix, part) for part in ("data", "indices", "indptr", "shape")}
    np.savez(path, **arrays)


@pytest.fixture
def drawn(tmp_path):
    """Components {0}, {1, 3, 4, 6} and {2, 5}, with weights, a loop, a stored zero and one-way edges."""
    sources, targets = [1, 3, 4, 4, 6, 2, 0], [3, 1, 1, 4, 4, 5, 0]
    weights = np.array([2.0, -2.0, 0.5, 3.0, 0.0, 7.0, 1.0], dtype=np.float32)
    adjacency = csr_matrix((weights, (sources, targets)), shape=(7, 7))
    features = csr_matrix(np.arange(14, dtype=np.float32).reshape(7, 2))
    path = tmp_path / "drawn.npz"
    save(path, adjacency, features, np.array([1, 9, 0, 4, 4, 0, 1], dtype=np.int8))
    return path


def test_preprocessing(drawn):
    features, edge_index, labels = cpf.read(drawn)
    # Old nodes 1, 3, 4, 6 are new nodes 0, 1, 2, 3; edges 1-3, 1-4, 4-6; labels 9, 4, 4, 1.
    assert features.tolist() == [[2.0, 3.0], [6.0, 7.0], [8.0, 9.0], [12.0, 13.0]]
    assert sorted(edge_index.T.tolist()) == [[0, 1], [0, 2], [1, 0], [2, 0], [2, 3], [3, 2]]
    assert labels.tolist() == [2, 1, 1, 0]
    assert [array.dtype for array in (features, edge_index, labels)] == [np.float32, np.int64, np.int64]


def test_a_whole_dataset_without_the_raw_files(tmp_path, monkeypatch):
    """A path of 120 nodes in the place of Cora: what `cpf` makes of it needs no mirror."""
    (tmp_path / "cpf").mkdir()
    path = tmp_path / "cpf" / "cora.npz"
    sources, targets = zip(*pairwise(range(120)), strict=True)
    adjacency = csr_matrix((np.ones(119, dtype=np.float32), (sources, targets)), shape=(120, 120))
    save(path, adjacency, csr_matrix(np.eye(120, dtype=np.float32)), np.arange(120) % 2)
    monkeypatch.setenv("GRAPHKD_MIRROR", str(tmp_path))
    monkeypatch.setitem(cpf.CHECKSUMS, "cora", hashlib.sha256(path.read_bytes()).hexdigest())
    data = cpf.cpf("cora", seed=4)
    assert torch.equal(data.x, torch.eye(120))
    assert data.edge_index.shape == (2, 238)
    assert [int(mask.sum()) for mask in (data.train_mask, data.val_mask, data.test_mask)] == [40, 60, 20]


def test_objects_are_not_unpickled(tmp_path):
    np.savez(tmp_path / "bad.npz", adj_data=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        cpf.read(tmp_path / "bad.npz")


def test_unknown_name():
    with pytest.raises(ValueError, match=r"name must be one of \['cora', 'citeseer'\], got 'pubmed'"):
        cpf.cpf("pubmed")
