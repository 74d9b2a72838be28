"""Records of files, one after the other, each with a text that names its place in the file."""

from __future__ import annotations

import csv
import importlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from graphkd.core.archives import read_arrays

Record = tuple[str, Mapping[str, Any]]  # its place in the file, and its values by name


def records(path: str | Path) -> Iterator[Record]:
    """Read ``.csv``, ``.tsv``, ``.jsonl``, ``.npz`` or ``.parquet``, record by record; nothing in the file is executed.

    Values of ``.csv`` and ``.tsv`` are strings; those of the other formats numbers, strings and lists of these. Raises
    FileNotFoundError, and ValueError with file and place for an invalid record.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {str(path)!r}")
    if path.suffix not in READERS:
        raise ValueError(f"{str(path)!r} must be one of {', '.join(READERS)}, got {path.suffix or 'no ending'!r}")
    yield from READERS[path.suffix](path)


def wrong(path: str | Path, where: str, what: str) -> ValueError:
    """Build the error for a place in a file."""
    return ValueError(f"{str(path)!r}, {where}: {what}")


def _separated(delimiter: str) -> Callable[[Path], Iterator[Record]]:
    def read(path: Path) -> Iterator[Record]:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = csv.reader(file, delimiter=delimiter, strict=True)
            try:
                names = next(lines, [])
                if len(set(names)) < len(names):
                    raise wrong(path, "line 1", f"columns must have names of their own, got {names}")
                for row in lines:
                    if row and len(row) != len(names):
                        what = f"there must be {len(names)} columns, {names}, got {len(row)}"
                        raise wrong(path, f"line {lines.line_num}", what)
                    if row:  # skips an empty line
                        yield f"line {lines.line_num}", dict(zip(names, row, strict=True))
            except UnicodeDecodeError as error:
                raise ValueError(f"{str(path)!r} must be text in UTF-8: {error}") from error
            except csv.Error as error:
                what = f"columns must be separated by {delimiter!r}: {error}"
                raise wrong(path, f"line {lines.line_num}", what) from error

    return read


def _of_objects(path: Path) -> Iterator[Record]:
    with path.open(encoding="utf-8-sig") as file:
        try:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield f"line {number}", _object(path, number, line)
        except UnicodeDecodeError as error:
            raise ValueError(f"{str(path)!r} must be text in UTF-8: {error}") from error


def _object(path: Path, number: int, line: str) -> Mapping[str, Any]:
    try:
        found = json.loads(line, parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        raise wrong(
            path, f"line {number}", f"there must be an object of JSON in every line, got none: {error}"
        ) from error
    if not isinstance(found, dict):
        raise wrong(
            path, f"line {number}", f"there must be an object of JSON in every line, got {type(found).__name__}"
        )
    return found


def _refused(constant: str) -> NoReturn:
    raise ValueError(f"numbers must be finite, got {constant}")


def arrays(path: Path) -> dict[str, np.ndarray]:
    """Read the arrays of an ``.npz``, one row a record in each; ValueError for object arrays and unequal lengths."""
    found = read_arrays(path)
    lengths = {name: len(each) if each.ndim else None for name, each in found.items()}
    if len(set(lengths.values())) != 1 or None in lengths.values():
        raise ValueError(f"{str(path)!r} must hold arrays of one length, got {lengths}")
    return found


def _of_arrays(path: Path) -> Iterator[Record]:
    found = arrays(path)
    for row in range(len(next(iter(found.values())))):
        yield f"row {row}", {name: each[row].tolist() for name, each in found.items()}


def _of_parquet(path: Path) -> Iterator[Record]:
    try:
        pyarrow, parquet = (importlib.import_module(name) for name in ("pyarrow", "pyarrow.parquet"))
    except ImportError as error:
        raise ImportError(f"{str(path)!r} is read by pyarrow: pip install pyarrow, or write it as .jsonl") from error
    try:
        with parquet.ParquetFile(path) as file:
            rows = (row for batch in file.iter_batches() for row in batch.to_pylist())
            yield from ((f"row {number}", row) for number, row in enumerate(rows))
    except pyarrow.ArrowException as error:
        raise ValueError(f"{str(path)!r} must be a Parquet file: {error}") from error


READERS: Mapping[str, Callable[[Path], Iterator[Record]]] = {
    ".csv": _separated(","),
    ".tsv": _separated("\t"),
    ".jsonl": _of_objects,
    ".npz": _of_arrays,
    ".parquet": _of_parquet,
}
