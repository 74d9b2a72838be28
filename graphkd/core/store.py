"""Store of a teacher's view on disk: rows by id, memory-mapped, written atomically by ``store_writer``."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphkd.core.ids import check_range

FORMAT = "graphkd store 2"
MANIFEST = "manifest.json"
BLOCK = 1 << 22  # entries converted, written or checked at a time


class Store:
    """View on disk, read by row: one memory-mapped ``.npy`` file per entry, never all of it in memory.

    Opening it checks the sha256 of every file and of ``manifest.json``, the shapes, and that numbers are finite: two
    sequential readings of the store, about a second per gigabyte. Raises ValueError where any byte has changed or the
    folder is no store, and from ``rows`` and ``whole`` where a file was written to after it was opened. A store has
    arrays and JSON only; nothing in it is run as code. ``key``: the origin of the view, as the writer recorded it.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        manifest = _manifest(self.path)
        self.key: dict[str, Any] = manifest["key"]
        self._dtypes = {name: (_dtype(own), _dtype(stored)) for name, own, stored, _ in manifest["entries"]}
        self._arrays: dict[str, np.ndarray] = {}
        self._files: dict[str, tuple[int, ...]] = {}
        for number, (name, *_, checksum) in enumerate(manifest["entries"]):
            file = self.path / f"{number}.npy"
            if not file.is_file() or file_checksum(file) != checksum:
                raise ValueError(_damaged(self.path, f"{file.name} ({name!r}) is not what was written"))
            self._files[name] = _stamp(file)
            self._arrays[name] = np.load(file, mmap_mode="r", allow_pickle=False)
            self._check(name)

    def __deepcopy__(self, memo: dict) -> Store:
        return self  # it never changes

    @property
    def names(self) -> list[str]:
        """Return the names of the entries."""
        return list(self._arrays)

    @property
    def count(self) -> int:
        """Return the number of rows, the same for every entry."""
        return next((array.shape[0] if array.ndim else 0 for array in self._arrays.values()), 0)

    def stored_dtypes(self) -> set[torch.dtype]:
        """Return the dtypes on disk of the floating-point entries."""
        return {stored for own, stored in self._dtypes.values() if own.is_floating_point}

    def rows(self, ids: Tensor, names: Sequence[str] | None = None) -> dict[str, Tensor]:
        """Read the rows ``ids`` of some entries, by default all, in the teacher's dtype, onto the device of ``ids``."""
        check_range(
            ids,
            self.count,
            self.key.get("rows") or "n_id",
            f"the rows of {self.names[0]!r} in the store at {str(self.path)!r}",
        )
        self._check_files()
        index = ids.cpu().numpy()
        wanted = self.names if names is None else names
        return {name: self._tensor(name, self._arrays[name][index]).to(ids.device) for name in wanted}

    def whole(self) -> dict[str, Tensor]:
        """Read all rows of every entry into memory."""
        self._check_files()
        return {name: self._tensor(name, np.array(array)) for name, array in self._arrays.items()}

    def _tensor(self, name: str, array: np.ndarray) -> Tensor:
        own, stored = self._dtypes[name]
        return torch.from_numpy(array).view(stored).to(own)

    def _check(self, name: str) -> None:
        """Raise ValueError for an entry with another number of rows, another dtype, or numbers that are not finite."""
        array, (own, stored) = self._arrays[name], self._dtypes[name]
        wanted = as_numpy(torch.empty(0, dtype=stored)).dtype
        if array.dtype != wanted or array.ndim == 0 or array.shape[0] != self.count:
            what = f"{name!r} must hold {self.count} rows as {wanted}, got {array.shape} as {array.dtype}"
            raise ValueError(_damaged(self.path, what))
        step = max(1, BLOCK * len(array) // max(array.size, 1))
        for start in range(0, len(array) if own.is_floating_point else 0, step):
            block = torch.from_numpy(np.array(array[start : start + step])).view(stored)
            if not bool(block.isfinite().all()):
                raise ValueError(_damaged(self.path, f"{name!r} must be finite, and is not"))

    def _check_files(self) -> None:
        """Raise ValueError where an open file was written to; one replaced or removed stays open and valid."""
        for number, (name, stamp) in enumerate(self._files.items()):
            try:
                now = _stamp(self.path / f"{number}.npy")
            except OSError:
                continue
            if now != stamp and now[:2] == stamp[:2]:
                raise ValueError(_damaged(self.path, f"{number}.npy ({name!r}) was written to after it was opened"))


def _stamp(file: Path) -> tuple[int, ...]:
    """Return device, inode, time of the last change and size of a file."""
    found = os.stat(file)  # noqa: PTH116 - Path.stat takes twice as long, and this is done at every step
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def as_numpy(tensor: Tensor) -> np.ndarray:
    """Return a CPU tensor as an array; bfloat16, which numpy lacks, as int16 of the same bits."""
    return (tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor).numpy()


def _dtype(name: str) -> torch.dtype:
    found: torch.dtype = getattr(torch, name)
    return found


def file_checksum(path: Path) -> str:
    """Compute the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sealed(content: Mapping[str, Any]) -> bytes:
    """Serialise a manifest with the sha256 of its content."""
    seal = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return json.dumps({**content, "seal": seal}, sort_keys=True, indent=1).encode()


def _manifest(path: Path) -> dict[str, Any]:
    file = path / MANIFEST
    if not file.is_file():
        raise ValueError(f"{str(path)!r} must be a folder with a {MANIFEST}, as a Cached teacher writes it")
    raw = file.read_bytes()
    try:
        content = json.loads(raw)
        content.pop("seal")
        intact = sealed(content) == raw
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        intact = False
    if not intact:
        raise ValueError(_damaged(path, f"{MANIFEST} is not what was written"))
    if content["format"] != FORMAT:
        raise ValueError(
            f"the store at {str(path)!r} must be a {FORMAT!r}, got {content['format']!r}: remove the folder and it is "
            "made anew"
        )
    return dict(content)


def _damaged(path: Path, what: str) -> str:
    return f"the store at {str(path)!r} is damaged: {what}; remove the folder and it is made anew"
