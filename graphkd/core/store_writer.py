"""Writer of stores: in parts, into a hidden folder that is renamed at the end, or removed on failure."""

from __future__ import annotations

import errno
import io
import os
import re
import secrets
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from graphkd.core.files import claim, release
from graphkd.core.store import BLOCK, FORMAT, MANIFEST, as_numpy, file_checksum, sealed
from graphkd.core.view import View

if sys.platform != "win32":
    import fcntl


def write(
    path: str | Path,
    parts: Iterable[tuple[Tensor | None, View]],
    key: Mapping[str, Any],
    dtype: torch.dtype | None = None,
) -> None:
    """Write a view that comes in parts, (row ids or None for all rows, entries), as the store at ``path``.

    Floating-point entries are converted to ``dtype``, if given; others keep theirs. All is written to a hidden folder
    beside ``path``, the manifest last, flushed to the disk and then renamed: an interruption leaves no store, and the
    next writer removes what a killed process left. A store that another process has put there meanwhile is kept.
    ``key`` is read after the last part. Raises OSError where nothing can be written there, before the first part is
    requested, and where the disk is full, with nothing left behind; ValueError for an entry that is not finite in
    ``dtype``, for a row that comes twice, and where a row below the highest id is missing.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path)
    folder = path.parent / f".{path.name}.{secrets.token_hex(8)}"
    lock = _lock_of(folder)
    handle = claim(lock)
    assert handle is not None  # a name that nobody else has
    columns: dict[str, _Column] = {}
    try:
        folder.mkdir()
        for ids, view in parts:
            for name, rows in view.items():
                if name not in columns:
                    columns[name] = _Column(folder / f"{len(columns)}.npy", name, rows, dtype)
                columns[name].write(ids, rows)
        entries = [column.close() for column in columns.values()]
        _check_lengths(columns)
        _sync(folder / MANIFEST, sealed({"format": FORMAT, "key": dict(key), "entries": entries}))
        _sync(folder)
        _publish(folder, path)
    except BaseException:
        for column in columns.values():
            column.file.close()
        shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        release(lock, handle)


def sweep(path: Path) -> None:
    """Remove the unfinished stores of killed writers; those of live writers stay."""
    for lock in path.parent.glob(f".{path.name}.*.lock"):
        if not re.fullmatch(r"\.[0-9a-f]{16}\.lock", lock.name.removeprefix(f".{path.name}")):
            continue
        handle = claim(lock)
        if handle is None:
            continue
        if _has_locks(handle):
            shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
            release(lock, handle)
        else:  # without locks, whether its process lives is unknown
            os.close(handle)


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def _has_locks(handle: int) -> bool:
    """Tell whether the file system of a claimed file supports locks."""
    if sys.platform == "win32":
        return False
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


class _Column:
    """Entry of a store while it is written: a ``.npy`` file that grows with the ids, and which rows are written.

    Plain writes are used: a full disk, a quota or a lost disk then raises OSError, where a memory map would end the
    process.
    """

    def __init__(self, path: Path, name: str, rows: Tensor, dtype: torch.dtype | None) -> None:
        if rows.dim() == 0:
            raise ValueError(f"the teacher's {name!r} must have a row a node to be stored, got a scalar")
        self.path, self.name, self.own, self.tail = path, name, rows.dtype, tuple(rows.shape[1:])
        self.stored = dtype if dtype is not None and rows.is_floating_point() else rows.dtype
        self._numpy = as_numpy(torch.empty(0, dtype=self.stored)).dtype
        self._width = int(np.prod(self.tail, dtype=np.int64)) * self._numpy.itemsize  # bytes of a row
        self._seen = np.zeros(0, dtype=bool)
        self.count = 0
        self.file: BinaryIO = path.open("w+b", buffering=0)
        self._start = len(self._header())

    def write(self, ids: Tensor | None, rows: Tensor) -> None:
        """Write rows where their ids say; ValueError for an id that came before."""
        index = np.arange(rows.size(0)) if ids is None else ids.cpu().numpy()
        if index.size == 0:
            return
        self._note(index)
        order = None if bool((np.diff(index) == 1).all()) else np.argsort(index)
        step = max(1, BLOCK * rows.size(0) // max(rows.numel(), 1))
        for start in range(0, rows.size(0), step):
            chosen = slice(start, start + step) if order is None else order[start : start + step]
            block = rows[chosen if order is None else torch.from_numpy(chosen).to(rows.device)]
            self._put(index[chosen], np.ascontiguousarray(as_numpy(self._converted(block))))

    def close(self) -> tuple[str, str, str, str]:
        """Finish the file, flush it to the disk, and return the entry's line in the manifest."""
        missing = np.flatnonzero(~self._seen[: self.count])
        if missing.size:
            raise ValueError(
                f"a store needs every row once, got no row of {self.name!r} for {missing.size} of {self.count}: "
                f"{missing[:5].tolist()}…; a loader to store from must go through all nodes and leave none out, or all "
                "graphs"
            )
        self.file.truncate(self._start + self.count * self._width)
        self._put_bytes(0, self._header())
        os.fsync(self.file.fileno())
        self.file.close()
        return self.name, _name(self.own), _name(self.stored), file_checksum(self.path)

    def _note(self, index: np.ndarray) -> None:
        """Record which rows came; ValueError for one that came before, or twice."""
        if index.min() < 0:
            raise ValueError(f"'n_id' must not be negative, got {index.min()}")
        self.count = max(self.count, int(index.max()) + 1)
        if self.count > len(self._seen):
            room = max(self.count, 2 * len(self._seen))
            self._seen = np.concatenate([self._seen, np.zeros(room - len(self._seen), dtype=bool)])
        again = index[self._seen[index]]
        self._seen[index] = True
        if not again.size and len(np.unique(index)) < len(index):
            again = np.sort(index)[1:][np.diff(np.sort(index)) == 0]
        if again.size:
            raise ValueError(
                f"a store needs every row once, got id {again[0]} twice: number nodes over all graphs, 'n_id' + the "
                "nodes of the graphs before, or where the teacher shows a row a graph give 'graph_id'; go through a "
                "loader once, and sample every node as a seed once"
            )

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

    def _put(self, index: np.ndarray, block: np.ndarray) -> None:
        """Write rows of ascending ids, adjacent ones at once."""
        content = block.reshape(-1).view(np.uint8).data
        ends = [*(np.flatnonzero(np.diff(index) != 1) + 1).tolist(), len(index)]
        for begin, end in zip([0, *ends[:-1]], ends, strict=True):
            place = self._start + int(index[begin]) * self._width
            self._put_bytes(place, content[begin * self._width : end * self._width])

    def _put_bytes(self, place: int, content: bytes | memoryview) -> None:
        self.file.seek(place)
        left = memoryview(content)
        while left:
            left = left[_written(self.file.write(left)) :]

    def _header(self) -> bytes:
        """Make the head of the file; numpy pads it so that its length does not depend on the number of rows."""
        buffer, shape = io.BytesIO(), (self.count, *self.tail)
        about = {"descr": np.lib.format.dtype_to_descr(self._numpy), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(buffer, about)
        return buffer.getvalue()


def _written(count: int | None) -> int:
    if not count:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return count


def _check_lengths(columns: Mapping[str, _Column]) -> None:
    counts = {name: column.count for name, column in columns.items()}
    if len(set(counts.values())) > 1:
        raise ValueError(f"the teacher's entries must have equally many rows to be stored, got {counts}")


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


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
    """Rename a finished store to its place, or drop it where another one has appeared there."""
    try:
        folder.rename(path)
    except OSError:
        if not (path / MANIFEST).is_file():
            raise
        shutil.rmtree(folder)
    else:
        _sync(path.parent)
