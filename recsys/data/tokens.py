"""Original ids, tokens: strings or integers of any container become row numbers and stay available as names."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recsys.data.ids import MOST

_SHOWN = 5  # places that a message names


def numbered(name: str, ids: Any) -> tuple[Tensor, tuple[str, ...]]:
    """Number ids from 0 on: a list, array, series or tensor (n,) -> rows (n,) int64, and the token of each row.

    Ids are strings or integers; 7 and "7" are one token. Tokens are numbered in ascending order, as numbers where all
    are integers, else as strings; the order of ids does not matter. O(n + m log m) for m tokens. Raises TypeError for
    ids of another type, such as 7.0; ValueError that names the places of missing ids.
    """
    array = as_array(name, ids)
    if array.dtype.kind in "iu":
        values, rows = np.unique(array, return_inverse=True)
        return torch.from_numpy(rows.reshape(-1).astype(np.int64)), _few(name, tuple(map(str, values.tolist())))
    if array.dtype.kind not in "OU" and array.size:
        missing(name, np.flatnonzero(array != array) if array.dtype.kind in "fM" else [])
        hint = ": use .astype('int64') where they are whole" if array.dtype.kind == "f" else ""
        raise TypeError(f"'{name}' must hold texts or whole numbers, got {array.dtype}{hint}")
    texts = _texts(name, array.tolist())
    tokens = _few(name, ordered(set(texts)))
    place = {token: row for row, token in enumerate(tokens)}
    return torch.tensor([place[text] for text in texts], dtype=torch.long), tokens


def as_array(name: str, values: Any) -> np.ndarray:
    """Convert a container to a vector of numpy; ValueError for a table, TypeError for anything else."""
    if isinstance(values, str) or not hasattr(values, "__len__"):
        raise TypeError(f"'{name}' must be a list, array or column, got {type(values).__name__}")
    if isinstance(values, Tensor):
        array = values.detach().cpu().numpy()
    elif isinstance(values, (list, tuple)):  # numpy would convert ["a", 1] and ["a", None] to strings
        array = np.asarray(values) if all(type(each) is int for each in values) else _objects(values)
    else:
        array = np.asarray(values)
    if array.ndim != 1:
        raise ValueError(f"'{name}' must be a vector, got shape {array.shape}")
    return array


def _objects(values: Sequence[Any]) -> np.ndarray:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def missing(name: str, places: Any) -> None:
    """Raise ValueError that names the places where values are missing, if there are some."""
    if len(places):
        shown = ", ".join(str(int(place)) for place in places[:_SHOWN])
        more = f" and {len(places) - _SHOWN} more" if len(places) > _SHOWN else ""
        raise ValueError(f"'{name}' must be known in every row, it is missing in rows {shown}{more}: leave them out")


def is_missing(value: Any) -> bool:
    """Tell whether a value is None, NaN, NaT or pandas' NA."""
    return (
        value is None or type(value).__name__ in ("NAType", "NaTType") or (type(value) is float and math.isnan(value))
    )


def _texts(name: str, values: list[Any]) -> list[str]:
    missing(name, [place for place, value in enumerate(values) if is_missing(value)])
    for place, value in enumerate(values):
        if not isinstance(value, (str, int, np.integer)) or isinstance(value, bool):
            kind = type(value).__name__
            raise TypeError(f"'{name}' must hold texts or whole numbers, got {kind} {value!r} in row {place}")
    return [value if type(value) is str else str(value) for value in values]


def ordered(tokens: Iterable[str]) -> tuple[str, ...]:
    """Sort tokens: as numbers where all are integers as Python writes them, else as strings."""
    found = list(tokens)
    return tuple(sorted(found, key=int if all(map(_is_number, found)) else None))


def _is_number(token: str) -> bool:
    digits = token.removeprefix("-")
    plain = len(digits) < 20 and digits.isascii() and digits.isdigit()
    return plain and str(int(token)) == token


def _few(name: str, tokens: tuple[str, ...]) -> tuple[str, ...]:
    if len(tokens) > MOST:
        raise ValueError(f"'{name}' must hold at most {MOST} different ids, got {len(tokens)}")
    return tokens


def places_of(tokens: Sequence[str]) -> Mapping[str, int]:
    """Map each token to its row."""
    return {token: row for row, token in enumerate(tokens)}
