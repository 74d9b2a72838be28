"""Checks of RecBole's atomic files before RecBole reads them: headers, columns, ids, numbers, times."""

from __future__ import annotations

import codecs
import csv
import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recsys._recbole_evaluation import by_time
from recsys._repairs import MISSING_NUMBERS

_TYPES = ("token", "token_seq", "float", "float_seq")
_INTERVAL = re.compile(r"\s*[\[(]\s*([^,\s]+)\s*,\s*([^,\s]+)\s*[\])]\s*")
_SHOWN = 5  # lines that a message names


def check_files(config: Any) -> None:
    """Raise an error that names the file, and the line, that RecBole would read wrongly or not at all.

    A byte order mark is skipped. Raises FileNotFoundError for a missing file; ValueError for a header without types, a
    chosen column that is absent, rows longer or shorter than the header, missing ids or times, and invalid numbers.
    """
    chosen = _chosen(config)
    for source in config["unload_col"] or ():
        if source not in chosen:
            raise ValueError(f"'unload_col' has no effect on {source!r}, of which nothing is read: only {list(chosen)}")
    folder, name = Path(config["data_path"]), config["dataset"]
    parts = [f".{part}" for part in config["benchmark_filename"] or ()] or [""]
    found: set[str] = set()
    for source, columns in chosen.items():
        paths = [folder / f"{name}{part}.{source}" for part in (parts if source == "inter" else [""])]
        for path in paths:
            found |= _check_file(path, source, columns, config)
    _check_named(config, found)
    _check_intervals(config)


def _chosen(config: Any) -> dict[str, Sequence[str] | None]:
    """Return the columns to read from each kind of file, None for all; optional files are listed only if they exist."""
    load_col = config["load_col"]
    further = [*(_GRAPH if config["MODEL_TYPE"].name == "KNOWLEDGE" else ()), *(config["additional_feat_suffix"] or ())]
    if load_col is None:
        folder, name = Path(config["data_path"]), config["dataset"]
        return {
            source: None
            for source in ("inter", "user", "item", *further)
            if source in ("inter", *_GRAPH) or (folder / f"{name}.{source}").is_file()
        }
    if not isinstance(load_col, Mapping) or not load_col.get("inter"):
        raise ValueError(f"'load_col' must name columns of 'inter', as {{'inter': [...]}}, got {load_col!r}")
    for source, columns in load_col.items():
        _check_columns_of(source, columns, ("inter", "user", "item", *further))
    return {source: None if columns == "*" else columns for source, columns in load_col.items()}


def _check_columns_of(source: str, columns: Any, known: Sequence[str]) -> None:
    if source not in known:
        near = difflib.get_close_matches(str(source), known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"'load_col' must have some of the keys {list(known)}, got {source!r}{hint}")
    if columns != "*" and not (isinstance(columns, (list, tuple, set)) and columns):
        raise ValueError(f"'load_col' must list columns of {source!r}, or say '*', got {columns!r}")


def _check_file(path: Path, source: str, columns: Sequence[str] | None, config: Any) -> set[str]:
    """Check a file and return the names of the columns that are read."""
    if not path.is_file():
        raise FileNotFoundError(
            f"{config['dataset']!r} must have {_WHAT.get(source, 'features')} at {str(path)!r}; there is no such file"
            f"{_origin(config['dataset']) if source == 'inter' else ''}"
        )
    with path.open("rb") as file:
        marked = file.read(3) == codecs.BOM_UTF8
    if marked and (config["encoding"] or "utf-8").lower() in ("utf-8", "utf8"):
        config["encoding"] = "utf-8-sig"  # also reads files without the mark
    try:
        return _check_text(path, source, columns, config)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{str(path)!r} must be text in {config['encoding'] or 'utf-8'!r}: {error}; say 'encoding', for example "
            "'utf-16' or 'latin-1'"
        ) from error


_WHAT = {
    "inter": "interactions",
    "user": "features of users",
    "item": "features of items",
    "kg": "triples of the knowledge graph",
    "link": "the entities of items",
}
_GRAPH = ("kg", "link")
_IDS = {
    "inter": ("USER_ID_FIELD", "ITEM_ID_FIELD"),
    "user": ("USER_ID_FIELD",),
    "item": ("ITEM_ID_FIELD",),
    "kg": ("HEAD_ENTITY_ID_FIELD", "RELATION_ID_FIELD", "TAIL_ENTITY_ID_FIELD"),
    "link": ("ITEM_ID_FIELD", "ENTITY_ID_FIELD"),
}


def _check_text(path: Path, source: str, columns: Sequence[str] | None, config: Any) -> set[str]:
    needed = [config[name] for name in _IDS.get(source, ())]
    unloaded = (config["unload_col"] or {}).get(source) or []
    with path.open(encoding=config["encoding"] or "utf-8", newline="") as file:
        rows = _rows(file, config["field_separator"], path)
        header = _header(path, next(rows, (0, []))[1])
        _check_there(path, [*needed, *(columns or ()), *unloaded], list(header))
        if unloaded and columns is not None:
            raise ValueError(
                f"'unload_col' has no effect on {source!r} beside 'load_col', got {list(unloaded)} and "
                f"{list(columns)}: give 'load_col': None, or '*' for {source!r}"
            )
        read = [name for name in header if (columns is None or name in columns) and name not in unloaded]
        if lacking := [name for name in needed if name not in read]:
            raise ValueError(f"'load_col' must name {lacking} too of {source!r}, and 'unload_col' must not, got {read}")
        times = [config["TIME_FIELD"]] if source == "inter" and by_time(config) else []
        _check_kinds(path, header, read, needed, times)
        faults = _Faults(path)
        floats = [name for name in read if header[name] == "float"]
        _check_rows(rows, list(header), floats, [*needed, *times], faults)
    faults.report()
    return set(read)


def _check_kinds(
    path: Path, header: Mapping[str, str], read: Sequence[str], ids: Sequence[str], times: Sequence[str]
) -> None:
    """Raise ValueError where ids are not tokens, or where the times that order the rows are not read or not numbers."""
    for name in times:
        if name not in read:
            raise ValueError(f"'order' TO needs the times of {str(path)!r}, column {name!r}: name it in 'load_col'")
    for name, kind in [*((name, "token") for name in ids), *((name, "float") for name in times)]:
        if header[name] != kind:
            raise ValueError(f"{str(path)!r} must have {name!r} of type {kind!r} in its header, got {header[name]!r}")


def _rows(file: Any, separator: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the non-empty rows as pandas splits them, each with the line at which it ends."""
    if len(separator) > 1:  # pandas takes it as a regular expression
        for line, text in enumerate(file, 1):
            if text.strip("\r\n"):
                yield line, re.split(separator, text.rstrip("\r\n"))
        return
    reader = csv.reader(file, delimiter=separator, strict=True)
    try:
        for row in reader:
            if len(row) > 1 or (row and row[0].strip()):
                yield reader.line_num, row
    except csv.Error as error:
        raise ValueError(f"{str(path)!r} cannot be read at line {reader.line_num}: {error}") from error


def _header(path: Path, cells: Sequence[str]) -> dict[str, str]:
    """Read the names and types of the columns."""
    pairs = [cell.partition(":")[::2] for cell in cells]
    if not pairs or any(kind not in _TYPES for _, kind in pairs) or len(dict(pairs)) < len(pairs):
        raise ValueError(
            f"{str(path)!r} must begin with the names and types of its columns, as 'user_id:token', with types of "
            f"{list(_TYPES)}, got {list(cells)}: if these are several in one, say 'field_separator'"
        )
    return dict(pairs)


def _check_there(path: Path, needed: Sequence[str], columns: Sequence[str]) -> None:
    missing = [column for column in dict.fromkeys(needed) if column not in columns]
    if missing:
        near = [close[0] for name in missing if (close := difflib.get_close_matches(str(name), columns, n=1))]
        hint = f" (the nearest: {', '.join(map(repr, near))})" if near else ""
        raise ValueError(f"{str(path)!r} must have the columns {missing}, got {list(columns)}{hint}")


@dataclass
class _Faults:
    """Errors in the rows of a file, by kind, with their lines."""

    path: Path
    lines: dict[str, list[int]] = field(default_factory=dict)
    example: dict[str, str] = field(default_factory=dict)

    def add(self, kind: str, line: int, example: object) -> None:
        """Note a line."""
        self.lines.setdefault(kind, []).append(line)
        self.example.setdefault(kind, repr(example))

    def report(self) -> None:
        """Raise ValueError with the lines of the first kind of error and their number, if there is any error."""
        for kind, lines in self.lines.items():
            shown = ", ".join(map(str, lines[:_SHOWN])) + (", ..." if len(lines) > _SHOWN else "")
            raise ValueError(
                f"{str(self.path)!r} must have {kind} in every row, {len(lines)} rows have not: at lines {shown}, the "
                f"first is {self.example[kind]}; mend these rows or leave them out"
            )


def _check_rows(
    rows: Iterator[tuple[int, list[str]]],
    header: list[str],
    numbers: Sequence[str],
    filled: Sequence[str],
    faults: _Faults,
) -> None:
    """Record rows of another length, and empty or invalid cells; ValueError where there is no row."""
    count = 0
    checks = [(name, header.index(name), _no_number) for name in numbers]
    checks += [(name, header.index(name), _no_name) for name in filled]
    for line, row in rows:
        count += 1
        if len(row) != len(header):
            faults.add(f"{len(header)} columns", line, row)
            continue
        for name, place, lack in checks:
            if missing := lack(row[place]):
                faults.add(f"{missing} as {name!r}", line, row)
    if not count:
        raise ValueError(f"{str(faults.path)!r} must have at least one row below its header, got none")


def _no_name(text: str) -> str:
    """Say what an invalid id or time should be; empty for a valid one."""
    if not text:
        return "something"
    return "something on one line (is a quotation mark open?)" if "\n" in text else ""


def _no_number(text: str) -> str:
    """Say what an invalid number should be; empty for a valid or a missing one."""
    if text in MISSING_NUMBERS:
        return ""
    try:
        float(text)
    except ValueError:
        return "a number"
    return ""


def _check_named(config: Any, found: set[str]) -> None:
    """Raise ValueError where an option names a column that is not read."""
    for key in ("unused_col", "seq_len", "alias_of_user_id", "alias_of_item_id"):
        named = config[key] or {}
        for name in (name for group in named.values() for name in group) if key == "unused_col" else named:
            if name not in found:
                near = difflib.get_close_matches(str(name), sorted(found), n=1)
                hint = f" (the nearest: {near[0]!r})" if near else ""
                raise ValueError(f"{key!r} must name columns that are read, {sorted(found)}, got {name!r}{hint}")


def _check_intervals(config: Any) -> None:
    """Raise ValueError for an interval that RecBole would ignore."""
    texts = {key: config[key] for key in ("user_inter_num_interval", "item_inter_num_interval")}
    texts |= {f"val_interval[{key!r}]": value for key, value in (config["val_interval"] or {}).items()}
    for key, text in texts.items():
        for part in text.split(";") if isinstance(text, str) else ():
            ends = _INTERVAL.fullmatch(part)
            try:
                valid = ends is not None and float(ends[1]) <= float(ends[2])
            except ValueError:
                valid = False
            if not valid:
                raise ValueError(f"'{key}' must be intervals as '[3,inf)' or '(0,1];[3,4)', got {text!r}")


def _origin(name: str) -> str:
    """Say where RecBole publishes a dataset, if it does."""
    import recbole
    import yaml  # type: ignore[import-untyped]

    urls = yaml.safe_load((Path(recbole.__file__).parent / "properties" / "dataset" / "url.yaml").read_text())
    return f"; RecBole publishes it at {urls[name]}" if name in urls else ""
