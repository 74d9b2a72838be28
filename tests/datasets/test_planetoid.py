"""Planetoid's Cora and CiteSeer: known sizes, and no pickle is opened before all files have been verified."""

import os
import pickle
import shutil
import warnings
from pathlib import Path

import pytest

from datasets import planetoid

# nodes, directed edges, features, class sizes, isolated nodes
SIZES = {
    "Cora": (2708, 10556, 1433, [351, 217, 418, 818, 426, 298, 180], 0),
    "CiteSeer": (3327, 9104, 3703, [264, 590, 668, 701, 596, 508], 48),
}
PARTS = ("x", "tx", "allx", "y", "ty", "ally", "graph", "test.index")


@pytest.mark.parametrize("name", SIZES)
def test_sizes(name, needs_dataset):
    needs_dataset(name.lower(), "public")
    data = planetoid.planetoid(name)
    nodes, edges, features, classes, isolated = SIZES[name]
    assert data.x.shape == (nodes, features)
    assert data.edge_index.shape == (2, edges)
    assert data.y.bincount().tolist() == classes
    assert nodes - len(data.edge_index.unique()) == isolated
    assert data.x.unique().tolist() == [0.0, 1.0]  # as stored, not row-normalised


@pytest.mark.parametrize("name", SIZES)
def test_public_split(name, needs_dataset):
    needs_dataset(name.lower(), "public")
    data = planetoid.planetoid(name)
    classes = len(SIZES[name][3])
    train = 20 * classes
    assert data.train_mask.nonzero().flatten().tolist() == list(range(train))
    assert data.y[data.train_mask].bincount().tolist() == [20] * classes
    assert data.val_mask.nonzero().flatten().tolist() == list(range(train, train + 500))
    assert int(data.test_mask.sum()) == 1000
    assert int(data.test_mask.nonzero().min()) == {"Cora": 1708, "CiteSeer": 2312}[name]


def test_citeseer_nodes_without_features_are_outside_the_split(needs_dataset):
    needs_dataset("citeseer", "public")
    data = planetoid.planetoid("CiteSeer")
    masked = data.train_mask | data.val_mask | data.test_mask
    blank = (data.x.sum(dim=1) == 0) & ~masked
    assert int(blank.sum()) == 15
    assert (data.y[blank] == 0).all()


@pytest.fixture
def copy(tmp_path, monkeypatch, needs_dataset):
    """A writable copy of Cora's raw files, the mirror from then on, with an empty cache beside it."""
    needs_dataset("cora", "public")
    raw = tmp_path / "mirror" / "planetoid" / "Cora" / "raw"
    raw.mkdir(parents=True)
    for part in PARTS:
        path = planetoid.fetch(f"planetoid/Cora/raw/ind.cora.{part}", "", planetoid.CHECKSUMS["Cora"][part])
        shutil.copyfile(path, raw / path.name)
    monkeypatch.setenv("GRAPHKD_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setenv("GRAPHKD_CACHE", str(tmp_path / "cache"))
    return raw


def test_reads_from_a_mirror_that_cannot_be_written_and_writes_nothing(copy, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    copy.chmod(0o555)
    try:
        planetoid.planetoid("Cora")
    finally:
        copy.chmod(0o755)
    assert sorted(tmp_path.rglob("*")) == before


def test_files_may_lie_partly_in_the_mirror_and_partly_in_the_cache(copy, tmp_path):
    cache = tmp_path / "cache" / "planetoid" / "Cora" / "raw"
    cache.mkdir(parents=True)
    for part in PARTS[:3]:
        shutil.move(copy / f"ind.cora.{part}", cache)
    assert planetoid.planetoid("Cora").num_edges == 10556


@pytest.mark.parametrize("part", PARTS)
def test_one_bad_file_stops_all_reading(copy, monkeypatch, part):
    path = copy / f"ind.cora.{part}"
    path.write_bytes(path.read_bytes()[:-1])
    monkeypatch.setattr(planetoid, "read_planetoid_data", lambda *_: pytest.fail("a file was read"))
    with pytest.raises(RuntimeError, match=f"ind.cora.{part} has the wrong sha256"):
        planetoid.planetoid("Cora")


class Trap:
    """A pickle that, when opened, leaves a folder behind."""

    def __init__(self, folder: Path):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def test_a_foreign_pickle_is_not_opened(tmp_path, monkeypatch):
    raw = tmp_path / "planetoid" / "Cora" / "raw"
    raw.mkdir(parents=True)
    for part in PARTS:
        (raw / f"ind.cora.{part}").write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    monkeypatch.setenv("GRAPHKD_MIRROR", str(tmp_path))
    with pytest.raises(RuntimeError, match="wrong sha256"):
        planetoid.planetoid("Cora")
    assert not (tmp_path / "sprung").exists()


def test_warning_filters_are_left_alone(needs_dataset):
    needs_dataset("cora", "public")
    before = list(warnings.filters)
    planetoid.planetoid("Cora")
    assert warnings.filters == before


def test_unknown_name():
    with pytest.raises(ValueError, match=r"name must be one of \['Cora', 'CiteSeer'\], got 'PubMed'"):
        planetoid.planetoid("PubMed")
