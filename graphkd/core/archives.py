"""Arrays of an ``.npz`` from elsewhere: plain arrays, or an error that names the file."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

_DAMAGED = (
    ValueError,
    TypeError,
    OSError,
    EOFError,
    KeyError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
)


def read_arrays(
    path: Path, choose: Callable[[Sequence[str]], Sequence[str]] = lambda names: names
) -> dict[str, np.ndarray]:
    """Read arrays from an ``.npz``, by name; ``choose`` selects the names to read from those in the archive.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not such an archive, is damaged, or contains objects, which would run as code.
    """
    with path.open("rb") as file:  # numpy leaves open what it cannot read
        try:
            held = np.load(file, allow_pickle=False)
            names = list(held.files)
        except (*_DAMAGED, AttributeError) as error:
            raise ValueError(_plain(path)) from error
        chosen = choose(names)
        try:
            return {name: held[name] for name in chosen}
        except _DAMAGED as error:
            raise ValueError(f"{_plain(path)}: {error}") from error


def _plain(path: Path) -> str:
    return f"{str(path)!r} must be an .npz of plain arrays, no objects, as numpy.savez writes it (texts: dtype str)"
