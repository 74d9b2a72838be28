"""PyG's own classes of data sets, built from raw files whose checksums have been verified."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import pickle
import shutil
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch_geometric
from torch import Tensor
from torch_geometric.data import Data, HeteroData, InMemoryDataset, storage
from torch_geometric.data import data as of_data
from torch_geometric.data.dataset import Dataset

from datasets.mirror import places

__all__ = ["Built", "built"]

LOCK, KEPT = "raw.sha256.json", "kept-"  # beside the raw files: their checksums, and graphs as plain tensors
Sums = Mapping[str, str]  # file name -> "sha256:" or "git:" and hexadecimal digits
# OGB's classes read their own new files by plain torch.load, which must know PyG's classes.
_PLAIN: list[Any] = [Data, HeteroData, of_data.DataEdgeAttr, of_data.DataTensorAttr]
_PLAIN += [storage.BaseStorage, storage.NodeStorage, storage.EdgeStorage, storage.GlobalStorage]


class Built(NamedTuple):
    """The graphs of a data set, and if its class has OGB's split, the ids of "train", "valid" and "test"."""

    graphs: Sequence[Any]
    split: Mapping[str, Tensor] | None = None


def built(
    kind: type[Dataset],
    name: str,
    arguments: Mapping[str, Any] | None = None,
    *,
    sums: Sums | None = None,
    root: str | Path | None = None,
) -> Built:
    """Build a data set by its class of PyG or OGB, which downloads its raw files; none is read before it is verified.

    Files with an entry in `sums` must have that checksum from the first download on. Other files are trusted at their
    first download, which writes their sha256 to `raw.sha256.json`; afterwards no file may change, appear or disappear.
    Processed files, which may be pickles, are never read from an earlier run: the class writes them to a temporary
    folder, from verified raw files, in the same process. The result is cached as plain tensors, read without pickle.

    Args:
        kind: a class with its raw files below its `root`; a class without `root` has no files.
        name: of the folder, `pyg/name` below the cache; it is copied from `pyg/name` below the mirror if that exists.
        arguments: of the class.
        sums: file name -> "sha256:" with the checksum, or "git:" with the id of the file in its git repository.
        root: cache folder, see `datasets.mirror.fetch`.

    Raises:
        RuntimeError: a raw file has another checksum, or the download failed.
    """
    given = dict(arguments or {})
    if "root" not in inspect.signature(kind.__init__).parameters:
        return _read(kind(**given))
    folder = places(f"pyg/{name}", root)[-1]
    if not folder.is_dir():
        return _first(kind, folder, places(f"pyg/{name}", root)[0], given, sums or {})
    found = _verified(folder, sums or {})
    return _plain(_kept(folder, given), found) or _made(kind, folder, given, sums or {})


def _first(kind: type[Dataset], folder: Path, mirror: Path, given: Mapping[str, Any], sums: Sums) -> Built:
    """Download to a temporary folder and rename it once it is complete, so that no partial download is used."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as place:
        partial = Path(place) / folder.name
        if mirror != folder and mirror.is_dir():
            shutil.copytree(mirror, partial)
        else:
            partial.mkdir()
        try:
            found = _made(kind, partial, given, sums)
        except (OSError, HTTPException) as error:
            raise RuntimeError(
                f"{kind.__name__} could not be downloaded or read ({error!r}); without a network put its raw files, in "
                f"the folders of {kind.__name__}(root), into {folder}"
            ) from error
        if not folder.is_dir():  # another process may have been faster
            partial.replace(folder)
    # A class that reads from the disk later needs its files in their final place.
    return found if isinstance(found.graphs, _Kept) else _made(kind, folder, given, sums)


def _made(kind: type[Dataset], folder: Path, given: Mapping[str, Any], sums: Sums) -> Built:
    """Let the class read the verified raw files, and cache its result."""
    processed = Path(tempfile.mkdtemp(prefix="processed-"))
    try:
        with torch.serialization.safe_globals(_PLAIN):
            dataset = _guarded(kind, folder, processed, sums)(root=str(folder), **given)
        found = _read(dataset)
    except BaseException:
        shutil.rmtree(processed, ignore_errors=True)
        raise
    if isinstance(dataset, InMemoryDataset):
        shutil.rmtree(processed, ignore_errors=True)
        _keep(dataset, found, _kept(folder, given), _verified(folder, sums))
        return Built(_Kept(dataset._data, dataset.slices), found.split)
    weakref.finalize(dataset, shutil.rmtree, processed, ignore_errors=True)  # the data set may read them later
    return found


def _guarded(kind: type[Dataset], folder: Path, processed: Path, sums: Sums) -> type[Dataset]:
    """Derive a class that verifies its raw files before processing, and writes processed files elsewhere."""

    def process(self: Any) -> None:
        _verified(folder, sums)
        kind.process(self)

    members: dict[str, Any] = {"processed_dir": property(lambda _: str(processed)), "__module__": kind.__module__}
    if kind.process is not Dataset.process:
        members["process"] = process
    return type(kind.__name__, (kind,), members)


def _read(dataset: Dataset) -> Built:
    split = getattr(dataset, "get_idx_split", None)
    return Built(dataset, split() if callable(split) else None)


class _Kept(InMemoryDataset):
    """Graphs that are in memory."""

    def __init__(self, held: Any, slices: Any) -> None:
        super().__init__()
        self._data, self.slices = held, slices


def _kept(folder: Path, given: Mapping[str, Any]) -> Path:
    about = json.dumps(given, sort_keys=True, default=str).encode()
    return folder / f"{KEPT}{hashlib.sha256(about).hexdigest()[:8]}.pt"


def _keep(dataset: InMemoryDataset, found: Built, path: Path, sums: Sums) -> None:
    held: Any = dataset._data
    entries = {"about": _about(sums), "types": isinstance(held, HeteroData), "graphs": held.to_dict()}
    entries |= {"slices": dataset.slices, "split": None if found.split is None else dict(found.split)}
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    torch.save(entries, beside)
    try:
        torch.load(beside, weights_only=True, mmap=True)
    except pickle.UnpicklingError:  # objects of other classes: do not cache
        beside.unlink()
    else:
        beside.replace(path)


def _plain(path: Path, sums: Sums) -> Built | None:
    """Read the cached result for these raw files and this version of PyG, or None."""
    if not path.is_file():
        return None
    try:
        entries = torch.load(path, weights_only=True)
    except pickle.UnpicklingError as error:
        raise RuntimeError(
            f"{path} holds more than tensors, which was not written here: delete it ({error})"
        ) from error
    if entries["about"] != _about(sums):
        return None
    graphs = (HeteroData if entries["types"] else Data).from_dict(entries["graphs"])
    return Built(_Kept(graphs, entries["slices"]), entries["split"])


def _about(sums: Sums) -> dict[str, Any]:
    return {"raw": dict(sums), "pyg": torch_geometric.__version__}


def _verified(folder: Path, sums: Sums) -> dict[str, str]:
    """Compare the sha256 of every raw file of a folder with known ones and return them; RuntimeError if they differ."""
    ours = (LOCK, KEPT)
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(ours))
    for path in paths:
        wanted = sums.get(path.name)
        if wanted is not None and wanted != (got := _sum(path, wanted.partition(":")[0])):
            raise RuntimeError(
                f"{path} has the wrong checksum: expected {wanted}, got {got}; a new download is not kept, an older "
                "folder must be deleted"
            )
    missing = sorted({*sums} - {path.name for path in paths})
    if missing:
        raise RuntimeError(f"{folder} lacks {missing}: delete it, it is downloaded anew")
    found = {path.relative_to(folder).as_posix(): _sum(path, "sha256") for path in paths}
    lock = folder / LOCK
    if not lock.is_file():
        lock.write_text(json.dumps(found, indent=1) + "\n")
    known = json.loads(lock.read_text())
    other = sorted(name for name in known.keys() | found.keys() if known.get(name) != found.get(name))
    if other:
        raise RuntimeError(
            f"{folder} is not as it was downloaded: {other} changed, came or went since {LOCK} was written. If that is "
            "meant, delete the folder: it is downloaded anew"
        )
    return found


def _sum(path: Path, how: str) -> str:
    if how == "git":  # git's blob id
        contents = path.read_bytes()
        header = b"blob %d\0" % len(contents)
        return f"git:{hashlib.sha1(header + contents, usedforsecurity=False).hexdigest()}"
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
