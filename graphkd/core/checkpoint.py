"""Checkpoints: written atomically, and read as they were written, without running code from them."""

from __future__ import annotations

import hashlib
import os
import warnings
import zipfile
from pathlib import Path
from typing import IO, Any

import torch

from graphkd.core.files import replacing
from graphkd.core.plain import plain

_SEAL = b"graphkd sha256 "  # goes before the checksum, in the comment of the archive that torch.save writes
_DIGITS = 64
_BLOCK = 1 << 20
_TAIL = b"PK\x05\x06"  # begins the last 22 bytes of an archive, of which 2 are the length of the comment that follows


def save(state: Any, path: str | Path) -> None:
    """Write tensors and plain containers to ``path`` atomically: an interruption leaves the old file as it was.

    Numbers of numpy become Python's. The file has the permissions of any new file and ends with a checksum of its
    content; ``torch.load`` reads it too. Missing folders are created. Raises ValueError that names an entry other than
    a tensor, a number, text, or a dict, list, tuple or set of these (an array, an enum, a dataclass, a function), and
    OSError where the file cannot be written, with nothing left behind.
    """
    path = Path(path)
    state = plain(state)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        _write(state, file)
        _seal(file)


def load(path: str | Path) -> Any:
    """Read what ``save`` wrote onto the CPU, with ``weights_only=True``: a file that holds code is refused, not run.

    Raises FileNotFoundError, or ValueError that names the file where its content does not match its checksum, or has
    anything but tensors and plain containers. In a file of ``torch.save`` itself, the archive's checksums are compared.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {str(path)!r}")
    try:
        _check(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(
            f"{str(path)!r} must be a checkpoint of tensors and plain containers, but could not be read as one: {error}"
        ) from error


def save_next(state: Any, path: Path) -> None:
    """Write ``path`` and keep its previous content as the older generation."""
    if path.is_file():
        older = older_of(path)
        older.unlink(missing_ok=True)
        try:
            older.hardlink_to(path)
        except OSError:  # a file system without links
            path.replace(older)
    save(state, path)


def load_newest(path: Path) -> tuple[Any, Path] | None:
    """Read the newest intact generation and return it with its path, None if none; warn if it is the older one.

    Raises ValueError where there are files and none can be read.
    """
    found = [each for each in (path, older_of(path)) if each.is_file()]
    errors: list[Exception] = []
    for each in found:
        try:
            state = load(each)
        except ValueError as error:
            errors.append(error)
            continue
        if each != path:
            why = errors[0] if errors else f"there is no {str(path)!r}"
            warnings.warn(f"{why}; the run goes on from the one before it, {str(each)!r}", stacklevel=2)
        return state, each
    if errors:
        raise errors[0]
    return None


def older_of(path: Path) -> Path:
    """Return the path of the older generation of a file: 'last.old.pt' beside 'last.pt'."""
    return path.with_suffix(f".old{path.suffix}")


class _Noting:
    """File for ``torch.save`` that remembers the error of a failed write, which torch forgets."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            return self.file.write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        self.file.flush()


def _write(state: Any, file: IO[bytes]) -> None:
    noting = _Noting(file)
    try:
        torch.save(state, noting)  # type: ignore[arg-type]
    except RuntimeError:
        if noting.error is not None:
            raise noting.error from None
        raise


def _seal(file: IO[bytes]) -> None:
    """End an archive with a comment that holds the sha256 of all before it."""
    file.seek(-2, os.SEEK_END)
    file.write((len(_SEAL) + _DIGITS).to_bytes(2, "little") + _SEAL)
    file.seek(0)
    checksum = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    file.seek(0, os.SEEK_END)
    file.write(checksum.encode())


def _check(path: Path) -> None:
    """Raise ValueError where a file does not match its checksum."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _DIGITS - len(_SEAL)))
        tail = file.read()
        if tail.startswith(_SEAL):
            file.seek(0)
            whole = hashlib.sha256()
            for start in range(0, size - _DIGITS, _BLOCK):
                whole.update(file.read(min(_BLOCK, size - _DIGITS - start)))
            if whole.hexdigest().encode() != tail[len(_SEAL) :]:
                raise ValueError("it is damaged, its checksum is that of another content")
            return
    if tail[-22:-18] != _TAIL or tail[-2:] != b"\0\0":
        raise ValueError("it is damaged, or no file of torch.save: an archive with a checksum does not end so")
    with zipfile.ZipFile(path) as archive:
        wrong = archive.testzip()
    if wrong is not None:
        raise ValueError(f"it is damaged, {wrong!r} in it has another checksum")
