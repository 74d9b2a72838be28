"""Checkpoints: written whole or not at all, read without running code from them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import torch


def save(state: Any, path: str | Path) -> None:
    """Write tensors and plain containers to ``path`` atomically: an interruption leaves the old file as it was."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def load(path: str | Path) -> Any:
    """Read what ``save`` wrote onto the CPU, with ``weights_only=True``: a file that holds code is refused, not run.

    Raises FileNotFoundError, or ValueError that names the file if it is damaged or holds anything but tensors and
    plain containers.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {str(path)!r}")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(
            f"{str(path)!r} must be a checkpoint of tensors and plain containers, but could not be read as one: {error}"
        ) from error
