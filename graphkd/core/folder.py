"""Folder of a run: created and tested before the first epoch, and claimed by one run at a time."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor, nn

from graphkd.core.files import claim, is_left_over, release
from graphkd.core.processes import from_first

if TYPE_CHECKING:
    from graphkd.core.processes import Processes

_RUNNING = ".running"  # exists during a run, with the number of its process


@contextmanager
def held(folder: Path, needed: int = 0) -> Iterator[None]:
    """Create a folder and claim it for one run.

    OSError where it cannot be written or has less than ``needed`` bytes free, ValueError where another run has it.
    """
    lock = folder / _RUNNING
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = claim(lock)
    except OSError as error:
        raise _unwritable(folder, error) from error
    if handle is None:
        raise ValueError(
            f"'checkpoint' must be the folder of one run, {str(folder)!r} is another's that runs now"
            f"{_process_of(lock)}: give another folder, or wait for its end"
        )
    try:
        _try(folder, handle, needed)
        yield
    finally:
        release(lock, handle)


def hold(folder: Path, needed: int, fabric: Processes, stack: ExitStack) -> None:
    """Enter ``held`` in the first process until the stack ends; every process raises what the first raises."""
    from_first(fabric, lambda: stack.enter_context(held(folder, needed)))


def contents(folder: Path) -> list[str]:
    """List the names in a folder, if it exists, except the files that mark a running or a killed run."""
    found = (path.name for path in folder.iterdir()) if folder.is_dir() else ()
    return sorted(name for name in found if name != _RUNNING and not is_left_over(name))


def empty(folder: Path) -> None:
    """Remove the content of a run's folder, which this process has claimed."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != _RUNNING:
            path.unlink(missing_ok=True)


def size_of(module: nn.Module) -> int:
    """Count the bytes of a module's state."""
    tensors = (value for value in module.state_dict().values() if isinstance(value, Tensor))
    return sum(tensor.nbytes for tensor in tensors if not nn.parameter.is_lazy(tensor))


def _try(folder: Path, handle: int, needed: int) -> None:
    try:
        os.ftruncate(handle, 0)
        os.write(handle, str(os.getpid()).encode())
    except OSError as error:
        raise _unwritable(folder, error) from error
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(
            errno.ENOSPC,
            f"'checkpoint' needs {needed / 1e6:.1f} MB, {str(folder)!r} has {free / 1e6:.1f} MB free: make room there, "
            "or give a folder on another disk",
        )


def _unwritable(folder: Path, error: OSError) -> OSError:
    why = error.strerror or str(error)
    return OSError(
        error.errno, f"'checkpoint' must be a folder that can be written, {str(folder)!r} cannot ({why}): give another"
    )


def _process_of(lock: Path) -> str:
    number = lock.read_text() if lock.is_file() else ""
    return f" in process {number}" if number else ""
