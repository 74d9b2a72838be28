"""A teacher's view on disk: rows by node id, written in blocks, memory-mapped, whole or not there at all."""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphkd.core.view import View

_FORMAT = "graphkd store 1"
_MANIFEST = "manifest.json"
_BLOCK = 1 << 22  # entries that are converted and written at a time


class Store:
    """A view on disk, read by row: a memory-mapped ``.npy`` file an entry, never all of it in memory.

    Opening it compares the sha256 of every file with ``manifest.json``, and of that with itself: one sequential
    reading of the store, about a second per gigabyte. ValueError where a byte is missing or another one, or for a
    folder that is no store. Nothing in a store is run: arrays and JSON only.
    ``key`` is what ``write`` was told about where the view comes from.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        manifest = _manifest(self.path)
        self.key: dict[str, Any] = manifest["key"]
        self._dtypes = {name: (_dtype(own), _dtype(stored)) for name, own, stored, _ in manifest["entries"]}
        self._arrays: dict[str, np.ndarray] = {}
        for number, (name, *_, checksum) in enumerate(manifest["entries"]):
            file = self.path / f"{number}.npy"
            if not file.is_file() or _checksum(file) != checksum:
                raise ValueError(_damaged(self.path, f"{file.name} ({name!r}) is not what was written"))
            self._arrays[name] = np.load(file, mmap_mode="r", allow_pickle=False)

    def __deepcopy__(self, memo: dict) -> Store:
        return self  # nothing of it changes

    def stored_dtypes(self) -> set[torch.dtype]:
        """The dtypes in which entries of floating-point numbers lie on disk."""
        return {stored for own, stored in self._dtypes.values() if own.is_floating_point}

    def rows(self, ids: Tensor) -> dict[str, Tensor]:
        """The rows ``ids`` of every entry, in the dtype the teacher showed it in, on the device of ``ids``."""
        index = ids.cpu().numpy()
        return {name: self._tensor(name, self._pick(name, index)).to(ids.device) for name in self._arrays}

    def whole(self) -> dict[str, Tensor]:
        """All rows of every entry, read into memory."""
        return {name: self._tensor(name, np.array(array)) for name, array in self._arrays.items()}

    def _pick(self, name: str, index: np.ndarray) -> np.ndarray:
        array = self._arrays[name]
        if index.size and (index.min() < 0 or index.max() >= len(array)):
            raise ValueError(
                f"'n_id' must be from 0 to {len(array) - 1}, the rows of {name!r} in the store at {str(self.path)!r}, "
                f"got {index.min()} to {index.max()}"
            )
        return array[index]

    def _tensor(self, name: str, array: np.ndarray) -> Tensor:
        own, stored = self._dtypes[name]
        return torch.from_numpy(array).view(stored).to(own)


def write(
    path: str | Path,
    parts: Iterable[tuple[Tensor | None, View]],
    key: Mapping[str, Any],
    dtype: torch.dtype | None = None,
) -> None:
    """Write a view that comes in parts, (row ids or None for all rows, entries), as the store at ``path``.

    Entries of floating-point numbers are converted to ``dtype``, others and those without one stay as they are. All
    goes into a hidden folder beside ``path`` first, the manifest last, is flushed to the disk and then renamed: an
    interruption leaves no store, at worst that hidden folder. If another process has put one there meanwhile, it stays.
    Raises ValueError for an entry that is not finite in ``dtype``, and where a row below the highest id never came.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = path.parent / f".{path.name}.{secrets.token_hex(8)}"
    folder.mkdir()
    try:
        columns: dict[str, _Column] = {}
        for ids, view in parts:
            for name, rows in view.items():
                if name not in columns:
                    columns[name] = _Column(folder / f"{len(columns)}.npy", name, rows, dtype)
                columns[name].write(ids, rows)
        entries = [column.close() for column in columns.values()]
        _sync(folder / _MANIFEST, _sealed({"format": _FORMAT, "key": dict(key), "entries": entries}))
        _sync(folder)
        _publish(folder, path)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


class _Column:
    """One entry while it is written: a ``.npy`` file that grows with the ids, and which of its rows came."""

    def __init__(self, path: Path, name: str, rows: Tensor, dtype: torch.dtype | None) -> None:
        if rows.dim() == 0:
            raise ValueError(f"the teacher's {name!r} must have a row a node to be stored, got a scalar")
        self.path, self.name, self.own, self.tail = path, name, rows.dtype, tuple(rows.shape[1:])
        self.stored = dtype if dtype is not None and rows.is_floating_point() else rows.dtype
        self._numpy = _as_numpy(torch.empty(0, dtype=self.stored)).dtype
        self._seen = np.zeros(0, dtype=bool)
        self._array = np.empty((0, *self.tail), self._numpy)
        self._count = 0
        path.write_bytes(self._header())

    def write(self, ids: Tensor | None, rows: Tensor) -> None:
        """Put rows where their ids say; of an id that comes again the latest stays."""
        if rows.size(0) == 0:
            return
        index = None if ids is None else ids.cpu().numpy()
        self._grow(rows.size(0) if index is None else int(index.max()) + 1)
        step = max(1, _BLOCK * rows.size(0) // max(rows.numel(), 1))
        for start in range(0, rows.size(0), step):
            block = slice(start, start + step)
            places = block if index is None else index[block]
            self._array[places] = _as_numpy(self._converted(rows[block]))
            self._seen[places] = True

    def close(self) -> tuple[str, str, str, str]:
        """Finish the file and flush it to the disk; the entry's line in the manifest."""
        missing = np.flatnonzero(~self._seen[: self._count])
        if missing.size:
            raise ValueError(
                f"a store needs every node once, got no row of {self.name!r} for {missing.size} of {self._count}: "
                f"{missing[:5].tolist()}…; a loader to store from must go through all nodes and leave none out"
            )
        del self._array  # unmaps
        with self.path.open("r+b") as file:
            file.truncate(len(self._header()) + self._count * self._row_bytes())
            file.write(self._header())
        _sync(self.path)
        return self.name, _name(self.own), _name(self.stored), _checksum(self.path)

    def _converted(self, rows: Tensor) -> Tensor:
        if rows.shape[1:] != self.tail or rows.dtype != self.own:
            raise ValueError(
                f"the teacher's {self.name!r} must have rows of {self.tail} and {self.own} in every batch, got "
                f"{tuple(rows.shape[1:])} and {rows.dtype}"
            )
        if rows.is_floating_point() and rows.numel():
            low, high, most = *(float(end) for end in rows.aminmax()), torch.finfo(self.stored).max
            if not -most <= low <= high <= most:  # NaN compares false
                raise ValueError(
                    f"the teacher's {self.name!r} must be finite as {_name(self.stored)}, which ends at {most:.5g}, "
                    f"got values from {low:.5g} to {high:.5g}"
                )
        return rows.to("cpu", self.stored)

    def _grow(self, count: int) -> None:
        self._count = max(self._count, count)
        if count > len(self._seen):
            room = max(count, 2 * len(self._seen))
            self._seen = np.concatenate([self._seen, np.zeros(room - len(self._seen), dtype=bool)])
            shape = (room, *self.tail)
            self._array = np.memmap(self.path, self._numpy, "r+", offset=len(self._header()), shape=shape)

    def _header(self) -> bytes:
        """The head of the file; numpy pads it so that its length does not depend on the number of rows."""
        buffer, shape = io.BytesIO(), (self._count, *self.tail)
        about = {"descr": np.lib.format.dtype_to_descr(self._numpy), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(buffer, about)
        return buffer.getvalue()

    def _row_bytes(self) -> int:
        return int(np.prod(self.tail, dtype=np.int64)) * self._numpy.itemsize


def _as_numpy(tensor: Tensor) -> np.ndarray:
    """A CPU tensor as an array; numpy has no bfloat16, whose bits are taken for integers."""
    return (tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor).numpy()


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _dtype(name: str) -> torch.dtype:
    found: torch.dtype = getattr(torch, name)
    return found


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sealed(content: Mapping[str, Any]) -> bytes:
    """The one way to write a manifest, its own sha256 included."""
    seal = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return json.dumps({**content, "seal": seal}, sort_keys=True, indent=1).encode()


def _manifest(path: Path) -> dict[str, Any]:
    file = path / _MANIFEST
    if not file.is_file():
        raise ValueError(f"{str(path)!r} must be a folder with a {_MANIFEST}, as a Cached teacher writes it")
    raw = file.read_bytes()
    try:
        content = json.loads(raw)
        content.pop("seal")
        intact = _sealed(content) == raw
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        intact = False
    if not intact:
        raise ValueError(_damaged(path, f"{_MANIFEST} is not what was written"))
    if content["format"] != _FORMAT:
        raise ValueError(f"the store at {str(path)!r} must be a {_FORMAT!r}, got {content['format']!r}")
    return dict(content)


def _damaged(path: Path, what: str) -> str:
    return f"the store at {str(path)!r} is damaged: {what}; remove the folder and it is made anew"


def _sync(path: Path, content: bytes | None = None) -> None:
    """Write ``content``, if any, and flush a file or folder to the disk."""
    if content is not None:
        path.write_bytes(content)
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _publish(folder: Path, path: Path) -> None:
    """Rename a finished store to its place, or drop it where one has come there since."""
    try:
        folder.rename(path)
    except OSError:
        if not (path / _MANIFEST).is_file():
            raise
        shutil.rmtree(folder)
    else:
        _sync(path.parent)
