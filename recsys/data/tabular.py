"""Interactions from tables: data frames, and files of comma- or tab-separated values or of numpy's arrays."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from graphkd.core.archives import read_arrays
from recsys.data.interactions import Interactions

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_SHOWN = 5  # lines that a message names


def of_frame(frame: Any, user: str, item: str, time: str | None) -> Interactions:
    """Build from columns of a frame of pandas or polars, or of a mapping of columns."""
    columns = [str(name) for name in getattr(frame, "columns", frame if isinstance(frame, Mapping) else ())]
    if not hasattr(frame, "__getitem__") or not columns:
        raise TypeError(f"'frame' must be a table with named columns, got {type(frame).__name__}")
    chosen = _chosen("frame", columns, user, item, time)
    return Interactions.from_tokens(*(frame[name] for name in chosen))


def read_interactions(
    path: str | Path, user: str = "user", item: str = "item", time: str | None = None, *, delimiter: str | None = None
) -> Interactions:
    """Read interactions from a file, one row an event; nothing in it is executed, and ids are kept as written.

    Args:
        path: ``.csv`` or ``.tsv``, whose first line names the columns (UTF-8; a byte order mark is skipped), ``.npz``
            with one array a column, or ``.safetensors`` as ``Interactions.save`` writes it, whose columns have no
            names.
        user: name of the column of users.
        item: of the column of items.
        time: of the column of times: numbers or ISO dates. None: times are not read.
        delimiter: between columns, by default a comma in ``.csv`` and a tab in ``.tsv``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a column is missing, a line is too short or too long, an id is empty, or a time is invalid.

    Example::

        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.savez(f"{folder}/clicks.npz", visitor=np.array(["ann", "bob"]), sku=np.array(["tea", "jam"]))
        ...     pairs = read_interactions(f"{folder}/clicks.npz", user="visitor", item="sku")
        >>> pairs, pairs.user_tokens
        (Interactions(2 pairs, 2 users, 2 items), ('ann', 'bob'))
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {str(path)!r}")
    if path.suffix == ".safetensors":
        return Interactions.load(path)
    if path.suffix == ".npz":
        return _of_arrays(path, user, item, time)
    if path.suffix not in _DELIMITERS and delimiter is None:
        raise ValueError(
            f"interactions are read from .csv, .tsv, .npz or .safetensors, got {str(path)!r}: for text of another name "
            "say 'delimiter'"
        )
    columns = _of_text(path, user, item, time, delimiter or _DELIMITERS[path.suffix])
    try:
        return Interactions.from_tokens(*columns)
    except ValueError as error:
        raise ValueError(f"{str(path)!r}: {error} (the first below the names is row 0)") from error


def _chosen(what: str, columns: Sequence[str], user: str, item: str, time: str | None) -> list[str]:
    chosen = [user, item, *([] if time is None else [time])]
    lacking = [name for name in chosen if name not in columns]
    if lacking:
        raise ValueError(f"{what!r} must have the columns {chosen}, it lacks {lacking} among {list(columns)}")
    return chosen


def _of_arrays(path: Path, user: str, item: str, time: str | None) -> Interactions:
    columns = read_arrays(path, lambda names: _chosen(str(path), names, user, item, time))
    return Interactions.from_tokens(*columns.values())


def _of_text(path: Path, user: str, item: str, time: str | None, delimiter: str) -> list[list[str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return _columns(path, csv.reader(file, delimiter=delimiter, strict=True), user, item, time)
    except UnicodeDecodeError as error:
        raise ValueError(f"{str(path)!r} must be text in UTF-8: {error}") from error
    except csv.Error as error:
        raise ValueError(f"{str(path)!r} must be separated by {delimiter!r}: {error}") from error


def _columns(path: Path, lines: Iterator[list[str]], user: str, item: str, time: str | None) -> list[list[str]]:
    names = next(lines, [])
    chosen = [names.index(name) for name in _chosen(str(path), names, user, item, time)]
    found: list[list[str]] = [[] for _ in chosen]
    wrong = []
    for row in lines:
        if not row:  # an empty line
            continue
        if len(row) != len(names) or not all(row[place] for place in chosen):
            wrong.append(f"line {lines.line_num}: {row[:4]}")  # type: ignore[attr-defined] # of csv's reader
            continue
        for column, place in zip(found, chosen, strict=True):
            column.append(row[place])
    if wrong:
        more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise ValueError(
            f"{str(path)!r} must have {len(names)} columns in every line, none of {[names[i] for i in chosen]} empty, "
            f"got {'; '.join(wrong[:_SHOWN])}{more}"
        )
    return found
