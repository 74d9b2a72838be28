"""Files: written atomically, and claimed by one process at a time."""

from __future__ import annotations

import os
import re
import secrets
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

if sys.platform != "win32":
    import fcntl

_claimed: set[tuple[int, Path]] = set()  # by process and path: the system's lock does not exclude its own process
_guard = threading.Lock()


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file that replaces ``path`` at the end; an exception leaves ``path`` unchanged.

    The file has the permissions of any new one and is removed after an exception; temporary files that killed writers
    left beside ``path`` are removed too.
    """
    sweep(path)
    new = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = claim(new)
    assert handle is not None  # a name that nobody else has
    try:
        with os.fdopen(handle, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if sys.platform == "win32":  # where an open file keeps its name
                file.close()
            new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    finally:
        _forget(new)


def sweep(path: Path) -> None:
    """Remove the temporary files that killed processes left beside ``path``; those of live processes stay."""
    for left in path.parent.iterdir():
        ours = left.name.startswith(f".{path.name}.") and is_left_over(left.name)
        if ours and (handle := claim(left)) is not None:
            release(left, handle)


def is_left_over(name: str) -> bool:
    """Tell whether a file has the name of a killed writer's temporary file, earlier versions' checkpoints included."""
    return re.fullmatch(r"\..+\.pt\.\w+|\..+\.[0-9a-f]{16}", name) is not None


def claim(path: Path) -> int | None:
    """Open a file, created if missing, for this process alone; return its descriptor, None where a live process has it.

    The claim ends with ``release``, with the descriptor, or with the process, however it dies. Processes that were
    forked meanwhile, such as a loader's workers, do not have it.
    """
    key = os.getpid(), path.absolute()
    with _guard:
        while key not in _claimed:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
            if not _locked(handle):
                os.close(handle)
                return None
            if os.fstat(handle).st_nlink:
                _claimed.add(key)
                return handle
            os.close(handle)  # whoever had it removed it
    return None


def release(path: Path, handle: int) -> None:
    """Remove a claimed file."""
    path.unlink(missing_ok=True)
    os.close(handle)
    _forget(path)


def _forget(path: Path) -> None:
    _claimed.discard((os.getpid(), path.absolute()))


def _locked(handle: int) -> bool:
    if sys.platform == "win32":
        return True
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:  # a file system without locks keeps nobody out
        return True
    return True
