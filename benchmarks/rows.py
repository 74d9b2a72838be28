"""Rows of benchmarks: one measured value each, in JSON Lines; and what tables and pictures count from them."""

from __future__ import annotations

import json
import math
import os
import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from graphkd.core.shares import SHARE

Row = dict[str, Any]
BASE = "none"  # the student alone, which gains are counted from
ERROR = "error"  # the metric of a run that failed, whose row says why
OWN_TERM = "own_term"  # a cost-like entry of rows: see ``own_term``
_SAME = ("dataset", "split", "setting", "teacher", "method", "student", "metric", "seed", "tuned", "trials")


def write(rows: Iterable[Row], path: Path) -> None:
    """Append one JSON object a row."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def write_whole(rows: Iterable[Row], path: Path) -> None:
    """Put rows in the place of a file's, all or, where it is interrupted, none."""
    fresh = path.with_suffix(f".{os.getpid()}")
    fresh.unlink(missing_ok=True)
    write(rows, fresh)
    fresh.replace(path)


def read(path: Path) -> list[Row]:
    """Read the rows of a file, or of all ``rows.jsonl`` below a folder as they came; ValueError names what is none."""
    found, files = [], path.rglob("rows.jsonl") if path.is_dir() else [path]
    for file in sorted(files, key=lambda file: file.stat().st_mtime_ns):
        for number, line in enumerate(file.read_text().splitlines(), 1):
            try:
                found.append(json.loads(line))
            except ValueError as error:
                raise ValueError(f"{file}:{number} must be a JSON object, as '--out' writes it: {error}") from error
    return found


def latest(rows: Iterable[Row]) -> list[Row]:
    """Rows without those that came again: of what was measured twice the last counts."""
    known: dict[tuple[str, ...], Row] = {}
    for row in rows:
        about = [row.get(key) for key in _SAME] + [json.dumps(row.get(key)) for key in ("settings", "options")]
        known[tuple(map(str, about))] = row
    return list(known.values())


def named(rows: list[Row]) -> list[Row]:
    """Rows whose methods tell their settings where one method came with several."""
    several: dict[str, set[str]] = {}
    for row in rows:
        several.setdefault(row["method"], set()).add(_settings(row))
    return [
        {**row, "method": f"{row['method']} {_settings(row)}".strip()} if len(several[row["method"]]) > 1 else row
        for row in rows
    ]


def _settings(row: Row) -> str:
    if row.get("tuned"):
        return f"tuned {row['trials']}"
    return " ".join(f"{name}={value}" for name, value in row.get("settings", {}).items())


def metrics_of(rows: Iterable[Row]) -> list[str]:
    """Metrics in the order they came."""
    return [metric for metric in dict.fromkeys(row["metric"] for row in rows) if metric != ERROR]


def own_term(history: Iterable[Mapping[str, Any]]) -> Row:
    """The median share of the gradient that a training's own terms had, those that are not of the labels.

    Of its reports with both kinds of terms; empty without one. See ``shares_every`` of ``graphkd.distil``.
    """
    found = []
    for report in history:
        shares = {name.removeprefix(SHARE): share for name, share in report.items() if name.startswith(SHARE)}
        own = [share for name, share in shares.items() if not _of_labels(name)]
        if own and len(own) < len(shares):
            found.append(sum(own))
    return {OWN_TERM: statistics.median(found)} if found else {}


def _of_labels(term: str) -> bool:
    return term in ("ce", "bce") or term.startswith("label")


def failed(rows: Iterable[Row]) -> bool:
    """Whether any run failed."""
    return any(row["metric"] == ERROR for row in rows)


def by_method(rows: Iterable[Row], metric: str) -> dict[str, list[Row]]:
    """Rows of one metric, by method, in the order the methods came."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if row["metric"] == metric:
            groups.setdefault(row["method"], []).append(row)
    return groups


def spread(values: list[float]) -> tuple[float, float]:
    """Mean and population standard deviation; NaN where a value is."""
    if any(map(math.isnan, values)):
        return math.nan, math.nan
    return statistics.fmean(values), statistics.pstdev(values)


def median(rows: list[Row], key: str) -> float:
    """The middle one of a cost, which a busy machine spoils only upwards; NaN where no row knows it."""
    known = [row[key] for row in rows if row.get(key) is not None]
    return statistics.median(known) if known else math.nan


def paired(rows: Iterable[Row], base: Iterable[Row]) -> list[float]:
    """Values less the base's, over the seeds of both."""
    known = {row["seed"]: row["value"] for row in base}
    return [row["value"] - known[row["seed"]] for row in rows if row["seed"] in known]


def gain(rows: list[Row], base: list[Row]) -> str:
    """Mean difference to the base over the seeds of both, in points of a percent, ± its standard error."""
    gains = [100 * gap for gap in paired(rows, base)]
    if len(gains) < 2 or rows is base:
        return ""
    return f"{statistics.fmean(gains):+.2f} ± {statistics.stdev(gains) / len(gains) ** 0.5:.2f}"
