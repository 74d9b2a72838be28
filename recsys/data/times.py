"""Times of events, kept without loss: numbers unchanged, dates as nanoseconds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recsys.data.ids import read_ids
from recsys.data.tokens import as_array, is_missing, missing

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_times(name: str, values: Any) -> Tensor:
    """Read times (n,): whole numbers as int64, others as float64, dates as int64 nanoseconds since 1970 in UTC.

    values: numbers, dates of numpy, pandas or ``datetime``, or strings of numbers or of ISO 8601 dates ("2024-05-01
    12:30", "2024-05-01T12:30Z"); a date without a zone is in UTC. Raises ValueError that names values that are missing,
    infinite, or of another kind than the first.
    """
    array = as_array(name, values)
    if array.dtype.kind == "M":
        missing(name, np.flatnonzero(np.isnat(array)))
        return torch.from_numpy(array.astype("datetime64[ns]").astype(np.int64))
    if array.dtype.kind in "iuf":
        return _numbers(name, array)
    if array.dtype.kind not in "OU" and array.size:
        raise TypeError(f"'{name}' must hold numbers or dates, got {array.dtype}")
    return _of_objects(name, array.tolist())


def of_events(pairs: Tensor, times: Any, rows: Any) -> tuple[Tensor | None, Tensor | None]:
    """Return times and rows of events in the order of pairs, events of one pair by time, then by row."""
    if times is None and rows is None:
        return None, None
    rows = torch.arange(len(pairs)) if rows is None else read_ids("rows", rows)
    moments = None if times is None else times if isinstance(times, Tensor) else read_times("times", times)
    for name, each in (("times", moments), ("rows", rows)):
        if each is not None and each.shape != pairs.shape:
            raise ValueError(f"'{name}' must be a vector of {len(pairs)}, one for each pair, got {list(each.shape)}")
    order = rows.to(pairs.device).argsort(stable=True)
    for key in (moments, pairs):
        order = order if key is None else order[key.to(pairs.device)[order].argsort(stable=True)]
    return None if moments is None else moments.to(pairs.device)[order], rows.to(pairs.device)[order]


def joined(parts: Sequence[Tensor | None], device: Any) -> Tensor | None:
    """Concatenate a property of several sets of events; None where one set lacks it."""
    known = [part.to(device) for part in parts if part is not None]
    return torch.cat(known) if len(known) == len(parts) else None


def _numbers(name: str, array: np.ndarray) -> Tensor:
    if array.dtype.kind == "f":
        wide = array.astype(np.float64)
        missing(name, np.flatnonzero(np.isnan(wide)))
        if not np.isfinite(wide).all():
            raise ValueError(f"'{name}' must be finite, got {wide[~np.isfinite(wide)][0]} in a row")
        return torch.from_numpy(wide)
    if array.size and array.max() >= 2**63:
        raise ValueError(f"'{name}' must be below 2**63, got {array.max()}")
    return torch.from_numpy(array.astype(np.int64))


def _of_objects(name: str, values: list[Any]) -> Tensor:
    missing(name, [place for place, value in enumerate(values) if is_missing(value) or value == ""])
    if not values:
        return torch.zeros(0, dtype=torch.long)
    read: Callable[[Any], int | float] = _number if _reads(_number, values[0]) else _date
    wrong = next((place for place, value in enumerate(values) if not _reads(read, value)), None)
    if wrong is not None:
        kind = "numbers, as the first row" if read is _number else "numbers or ISO dates"
        raise ValueError(f"'{name}' must hold {kind}, got {values[wrong]!r} in row {wrong}")
    return _tensor(name, [read(value) for value in values])


def _tensor(name: str, found: Sequence[int | float]) -> Tensor:
    if any(type(each) is float for each in found):
        return torch.tensor(found, dtype=torch.float64)
    if not all(-(2**63) <= each < 2**63 for each in found):
        raise ValueError(f"'{name}' must be within int64, got {max(found, key=abs)}")
    return torch.tensor(found, dtype=torch.int64)


def _reads(read: Callable[[Any], int | float], value: Any) -> bool:
    try:
        return math.isfinite(read(value))
    except (ValueError, TypeError, OverflowError):
        return False


def _number(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, (str, int, float, np.integer, np.floating)):
        raise TypeError
    if isinstance(value, str):
        if "_" in value:  # Python would read it as a number
            raise ValueError
        try:
            return int(value)
        except ValueError:
            return float(value)
    return int(value) if isinstance(value, (int, np.integer)) else float(value)


def _date(value: Any) -> int:
    """Convert a date to nanoseconds; a ``Timestamp`` of pandas stores part of them separately."""
    found = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    moment = found if found.tzinfo is not None else found.replace(tzinfo=UTC)
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000 + int(getattr(value, "nanosecond", 0))
