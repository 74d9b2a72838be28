"""Larger graphs, molecules and links: counts, check values of features and splits, and what must not leak."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from datasets.debian import debian, debian_tags, debian_types
from datasets.link_splits import link_split
from datasets.mirror import fetch
from datasets.molecules import nci1, proteins, solubility
from datasets.planetoid import planetoid
from datasets.shares import group_shares, random_shares
from datasets.wordnet import wordnet, wordnet_types


def check(ids) -> str:
    """First digits of the sha256 of indices as little-endian int64."""
    return hashlib.sha256(np.ascontiguousarray(ids, dtype="<i8").tobytes()).hexdigest()[:12]


def checks(data) -> dict[str, tuple[int, str]]:
    masks = {name: data[f"{name}_mask"].numpy() for name in ("train", "val", "test", "new")}
    return {name: (int(mask.sum()), check(np.flatnonzero(mask))) for name, mask in masks.items()}


def seen_edges(data) -> int:
    """Directed edges without a new node."""
    new = data.new_mask
    return int((~new[data.edge_index]).all(dim=0).sum())


# --------------------------------------------------------------------------- text graphs
@pytest.mark.parametrize(
    ("seed", "val", "test", "edges"),
    [
        (0, "958f27f0734a", "3de35b642b7c", 257180),
        pytest.param(2, "be30fdf665", "", 258860, marks=pytest.mark.slow),
    ],
)
def test_wordnet(needs, seed, val, test, edges):
    needs("more/wordnet.npz")
    data = wordnet(seed)
    assert (data.num_nodes, data.num_edges, int(data.y.max()) + 1) == (117659, 367578, 45)
    assert abs(float(data.x.abs().double().sum()) - 8109034.8) < 1
    assert check(data.edge_index.numpy()) == "c309429f0775"
    found = checks(data)
    assert [found[name][0] for name in ("train", "val", "test", "new")] == [11765, 11766, 94128, 18826]
    assert val in found["val"][1]
    assert test in found["test"][1]
    assert seen_edges(data) == edges


def test_all_words_of_wordnet(needs):
    needs("more/wordnet.npz")
    x = wordnet(words=True).x
    assert x.shape == (117659, 7765)
    lengths = torch.zeros(len(x)).index_add_(
        0, torch.arange(len(x)).repeat_interleave(x.crow_indices().diff()), x.values() ** 2
    )
    assert int((lengths == 0).sum()) == 390  # synsets without words
    torch.testing.assert_close(lengths[lengths > 0], torch.ones(len(x) - 390), rtol=1e-4, atol=0)


@pytest.mark.slow
def test_wordnet_by_parts_of_speech(needs):
    needs("more/wordnet.npz")
    data, whole = wordnet_types(), wordnet()
    assert {kind: data[kind].num_nodes for kind in data.node_types} == {
        "n": 82115,
        "v": 13767,
        "a": 7463,
        "s": 10693,
        "r": 3621,
    }
    assert sum(data[kind].num_edges for kind in data.edge_types) == 364552
    assert len(data["n"].y.unique()) == 26
    assert float(sum(data[kind].x.sum() for kind in data.node_types)) == pytest.approx(float(whole.x.sum()), rel=1e-3)
    assert data["n", "hypernym", "n"].num_edges > 70000


@pytest.mark.parametrize(
    ("by_source", "counts", "test", "edges"),
    [
        (False, [6169, 6170, 49360, 9872], "692b385ff890", 412318),
        (True, [6295, 5714, 49468, 10114], "0097e5d1f585", 409462),
    ],
    ids=["random", "source"],
)
def test_debian(needs, by_source, counts, test, edges):
    needs("more/debian.npz")
    data = debian(0, by_source=by_source)
    assert (data.num_nodes, data.num_edges) == (63436, 549900)
    assert abs(float(data.x.abs().double().sum()) - 4706963.2) < 1
    found = checks(data)
    assert [found[name][0] for name in ("train", "val", "test", "new")] == counts
    assert found["test"][1] == test
    assert seen_edges(data) == edges
    masks = [data[f"{name}_mask"] for name in ("train", "val", "test")]
    assert not bool((torch.stack(masks).sum(dim=0) > 1).any())


def test_tags_of_debian(needs):
    needs("more/debian.npz")
    data = debian_tags()
    known = ~data.y.isnan().any(dim=1)
    assert data.y.shape == (63436, 135)
    assert (int(known.sum()), int(data.y[known].sum())) == (30221, 98574)
    assert bool(known[data.train_mask | data.val_mask | data.test_mask].all())


def test_types_of_debian(needs):
    needs("more/debian.npz")
    data = debian_types()
    assert [data[kind].num_nodes for kind in ("package", "source", "maintainer")] == [63436, 34169, 2248]
    assert data["package", "depends", "package"].num_edges == 246748
    assert data["package", "from", "source"].num_edges == 63436
    own = data["package", "from", "source"].edge_index[1] == 7
    torch.testing.assert_close(data["source"].x[7], data["package"].x[own].mean(dim=0))


# ------------------------------------------------------------------------------ molecules
@pytest.mark.parametrize(
    ("load", "file", "count", "check_of"),
    [
        (nci1, "nci1", 4110, {0: "27641abe5f0b", 9: "8a6ce2a86f5a"}),
        (proteins, "proteins", 1113, {0: "3d9aed34e347", 1: "0cadf784407a"}),
    ],
)
def test_ten_folds(needs, load, file, count, check_of):
    needs(f"more/{file}.npz")
    fold = np.load(fetch(f"more/{file}.npz", None, _sha(file)))["fold"]
    for number, wanted in check_of.items():
        parts = load(number)
        assert sum(map(len, parts)) == count
        assert check(np.flatnonzero(fold == number)) == wanted
        assert len(parts.test) == int((fold == number).sum())
        assert len(parts.val) == int((fold == (number + 1) % 10).sum())
    graph = parts.train[0]
    assert bool((graph.x.sum(dim=1) == 1).all())
    assert graph.edge_index.size(1) % 2 == 0
    with pytest.raises(ValueError, match="fold must be between 0 and 9, got 10"):
        load(10)


def test_solubility(needs):
    needs("more/solubility.npz")
    parts = solubility(1)
    assert [len(part) for part in parts] == [923, 102, 257]
    graph = parts.test[0]
    assert graph.x.shape[1] == 40
    assert graph.edge_attr.shape == (graph.num_edges, 8)
    assert bool((graph.x.sum(dim=1) == 7).all())
    assert bool((graph.edge_attr.sum(dim=1) == 3).all())
    assert isinstance(graph.smiles, str)


def _sha(name: str) -> str:
    from datasets.molecules import FILES

    return FILES[name][1]


# ---------------------------------------------------------------------------------- links
def test_links_of_cora(needs_dataset):
    needs_dataset("cora", "public")
    data = planetoid("Cora")
    parts = link_split(data, 0)
    edges = [part.edge_label_index[:, part.edge_label > 0] for part in parts]
    assert [pairs.size(1) for pairs in edges] == [4487, 263, 528]
    assert [check(pairs.numpy()) for pairs in edges] == ["bca9bc2017f0", "98120401a588", "54ad90a8d542"]
    assert check(parts.test.ranking_negatives.numpy()) == "d7d47ecb4f1c"
    known = {(int(a), int(b)) for a, b in data.edge_index.T}
    assert not known & {(int(a), int(b)) for a, b in parts.test.edge_label_index[:, parts.test.edge_label == 0].T}
    assert torch.equal(parts.val.edge_index, parts.train.edge_index)


# ------------------------------------------------------------------------------- by hand
def test_shares_by_hand():
    labelled = np.arange(100) % 5 > 0
    found = random_shares(labelled, 3)
    assert [int(part.sum()) for part in found] == [8, 8, 64, 13]
    assert not (found.train & found.val | found.train & found.test | found.val & found.test).any()
    assert ((found.train | found.val | found.test) == labelled).all()
    assert (found.new <= found.test).all()


def test_a_group_is_in_one_part():
    group = np.repeat(np.arange(50), 4)
    found = group_shares(np.ones(200, bool), group, 2)
    for part in found:
        assert all(part[group == number].all() or not part[group == number].any() for number in range(50))
    assert [int(part.sum()) for part in found] == [20, 20, 160, 28]  # 42 / 50 is below 0.2 + 0.8 * 0.8


def test_a_file_that_is_nowhere_says_so(tmp_path, monkeypatch):
    monkeypatch.delenv("GRAPHKD_MIRROR", raising=False)
    with pytest.raises(RuntimeError, match=r"more/wordnet.npz is not to be downloaded: set GRAPHKD_MIRROR to a folder"):
        wordnet(root=tmp_path)
