"""Classes of PyG's data sets: raw files are verified before they are read, processed ones are never trusted."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil

import numpy as np
import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.datasets import Amazon, KarateClub, Planetoid

from datasets import checked
from datasets.checked import LOCK, built
from datasets.mirror import fetch
from datasets.planetoid import CHECKSUMS, planetoid
from tests.datasets.toy_sets import Broken, Splits, Toy, graph


@pytest.fixture(autouse=True)
def counts(monkeypatch):
    monkeypatch.delenv("GRAPHKD_MIRROR", raising=False)
    monkeypatch.setattr(Toy, "downloads", 0)
    monkeypatch.setattr(Toy, "processings", 0)


def folder(root):
    return root / "pyg" / "toy"


def toy(root, kind=Toy, sums=None, **arguments):
    return built(kind, "toy", arguments, sums=sums, root=root)


def test_the_first_call_downloads_and_processes_and_later_ones_read_plain_tensors(tmp_path):
    first, again = (toy(tmp_path).graphs[0] for _ in range(2))
    assert torch.equal(first.edge_index, graph().edge_index)
    assert all(torch.equal(first[name], again[name]) for name in ("x", "edge_index", "y"))
    assert (Toy.downloads, Toy.processings) == (1, 1)
    assert not list(folder(tmp_path).rglob("processed"))
    assert sorted(path.name for path in (tmp_path / "pyg").iterdir()) == ["toy"]  # nothing stays beside


def test_sums_of_the_first_download_are_kept_beside(tmp_path):
    toy(tmp_path)
    raw = folder(tmp_path) / "raw" / "notes.txt"
    known = json.loads((folder(tmp_path) / LOCK).read_text())
    assert known["raw/notes.txt"] == f"sha256:{hashlib.sha256(raw.read_bytes()).hexdigest()}"
    assert set(known) == {"raw/edges.npy", "raw/notes.txt"}


@pytest.mark.parametrize("how", ["changed", "gone", "new"])
def test_raw_files_that_are_no_longer_the_same_are_refused_before_they_are_read(tmp_path, how):
    toy(tmp_path)
    raw = folder(tmp_path) / "raw" / "notes.txt"
    if how == "changed":
        raw.write_bytes(b"other")
    elif how == "gone":
        raw.unlink()
    else:
        raw.with_name("more.txt").write_bytes(b"")
    with pytest.raises(RuntimeError, match=r"is not as it was downloaded: \['raw/(notes|more).txt'\] changed, came or"):
        toy(tmp_path)
    assert Toy.processings == 1


class Evil:
    """A pickle that does something when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_a_processed_file_from_the_disk_is_never_read(tmp_path):
    toy(tmp_path)
    planted = folder(tmp_path) / "processed" / "data.pt"
    planted.parent.mkdir()
    planted.write_bytes(pickle.dumps(Evil(tmp_path / "ran")))
    with pytest.raises(RuntimeError, match=r"\['processed/data.pt'\] changed, came"):
        toy(tmp_path)
    planted.unlink()
    for kept in folder(tmp_path).glob("kept-*.pt"):
        kept.write_bytes(pickle.dumps(Evil(tmp_path / "ran"), protocol=2))
    with pytest.raises(RuntimeError, match=r"kept-.*pt holds more than tensors.*delete it"):
        toy(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_another_version_of_pyg_processes_anew(tmp_path, monkeypatch):
    toy(tmp_path)
    monkeypatch.setattr(checked.torch_geometric, "__version__", "0.0")
    toy(tmp_path)
    assert (Toy.downloads, Toy.processings) == (1, 2)


def test_other_arguments_are_kept_apart(tmp_path):
    toy(tmp_path)
    toy(tmp_path, name="b")
    toy(tmp_path)
    assert (Toy.downloads, Toy.processings) == (1, 2)


NOTES = b"a note"
RIGHT = {"notes.txt": f"sha256:{hashlib.sha256(NOTES).hexdigest()}"}
GIT = {"notes.txt": f"git:{hashlib.sha1(b'blob 6' + bytes(1) + NOTES).hexdigest()}"}


@pytest.mark.parametrize("sums", [RIGHT, GIT], ids=["sha256", "git"])
def test_a_known_sum_must_be_met_from_the_first_download_on(tmp_path, monkeypatch, sums):
    monkeypatch.setattr(Toy, "contents", b"something else")
    with pytest.raises(RuntimeError, match=r"notes.txt has the wrong checksum: expected (sha256|git):"):
        toy(tmp_path, sums=sums)
    assert Toy.processings == 0
    assert not folder(tmp_path).exists()  # what is wrong is not kept
    monkeypatch.setattr(Toy, "contents", NOTES)
    assert toy(tmp_path, sums=sums).graphs[0].num_nodes == 60


def test_a_known_file_that_is_not_there(tmp_path):
    with pytest.raises(RuntimeError, match=r"lacks \['labels.txt'\]"):
        toy(tmp_path, sums={"labels.txt": "sha256:00"})


def test_half_a_download_is_not_kept(tmp_path):
    with pytest.raises(
        RuntimeError, match=r"Broken could not be downloaded .*the line is dead.* without a network put"
    ):
        toy(tmp_path, Broken)
    assert not folder(tmp_path).exists()
    toy(tmp_path)
    assert Toy.downloads == 2


def test_raw_files_of_the_mirror_stand_for_a_download(tmp_path, monkeypatch):
    toy(tmp_path / "one")
    mirror = tmp_path / "mirror" / "pyg" / "toy"
    shutil.copytree(folder(tmp_path / "one") / "raw", mirror / "raw")
    monkeypatch.setenv("GRAPHKD_MIRROR", str(tmp_path / "mirror"))
    toy(tmp_path / "two")
    assert (Toy.downloads, Toy.processings) == (1, 2)
    assert [path.name for path in mirror.iterdir()] == ["raw"]  # nothing is written there


def test_the_split_of_ogb_is_kept_too(tmp_path):
    for _ in range(2):
        assert toy(tmp_path, Splits).split["valid"].tolist() == list(range(20, 40))


class Maker:
    """Something that a file of tensors cannot hold."""


class Named(Toy):
    """A class that gives more than tensors."""

    def process(self) -> None:
        self.save([graph()], self.processed_paths[0])

    def load(self, path, data_cls=Data):
        super().load(path, data_cls)
        self._data.maker = Maker()


def test_what_tensors_cannot_hold_is_processed_each_time(tmp_path):
    for _ in range(2):
        assert isinstance(toy(tmp_path, Named).graphs[0].maker, Maker)
    assert not list(folder(tmp_path).glob("kept-*"))
    assert Toy.downloads == 1


def test_a_class_without_files(tmp_path):
    assert built(KarateClub, "karate", root=tmp_path).graphs[0].num_nodes == 34
    assert not list(tmp_path.iterdir())


# ----------------------------------------------------------------------- PyG's own classes
def test_pygs_planetoid_gives_what_ours_does(tmp_path, needs_dataset, monkeypatch):
    monkeypatch.undo()
    needs_dataset("cora", "public")
    sums = {f"ind.cora.{part}": f"sha256:{sha256}" for part, sha256 in CHECKSUMS["Cora"].items()}

    def download(self):
        for part, sha256 in CHECKSUMS["Cora"].items():
            name = f"ind.cora.{part}"
            shutil.copy(fetch(f"planetoid/Cora/raw/{name}", None, sha256), self.raw_dir)

    monkeypatch.setattr(Planetoid, "download", download)
    for _ in range(2):
        found, wanted = (
            built(Planetoid, "cora", {"name": "Cora"}, sums=sums, root=tmp_path).graphs[0],
            planetoid("Cora"),
        )
        assert all(torch.equal(found[name], wanted[name]) for name in wanted.keys())  # noqa: SIM118 - Data's


def npz(path):
    """A file as Amazon's are: adjacency, features and labels."""
    nodes = 120
    generator = np.random.RandomState(0)
    rows = [np.sort(generator.choice(nodes, 4, replace=False)) for _ in range(nodes)]
    ptr = np.arange(nodes + 1) * 4
    parts = {"adj": (np.concatenate(rows), nodes), "attr": (np.concatenate(rows) % 9, 9)}
    arrays = {"labels": np.arange(nodes) % 2}
    for name, (indices, width) in parts.items():
        arrays |= {f"{name}_indices": indices, f"{name}_indptr": ptr, f"{name}_shape": np.array([nodes, width])}
        arrays[f"{name}_data"] = np.ones(len(indices), np.float32)
    np.savez(path, **arrays)


def test_a_class_that_names_its_folders_by_its_arguments(tmp_path, monkeypatch):
    monkeypatch.setattr(Amazon, "download", lambda self: npz(self.raw_paths[0]))
    one, two = (built(Amazon, "photo", {"name": "Photo"}, root=tmp_path).graphs[0] for _ in range(2))
    assert one.num_nodes == 120
    assert torch.equal(one.edge_index, two.edge_index)
