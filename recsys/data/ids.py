"""Check of ids at the interface: integers of any container within their range, else an error that names them."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import torch
from torch import Tensor

MOST = 2**31 - 1  # users and items: ids are stored as int32, and user · num_items + item fits into int64
_INTEGERS = (
    torch.int64,
    torch.int32,
    torch.int16,
    torch.int8,
    torch.uint8,
    torch.uint16,
    torch.uint32,
    torch.uint64,
)
_ANEW = "number them from 0 on first, for example by pandas.factorize, or take Interactions.from_tokens"


def read_ids(name: str, ids: Any) -> Tensor:
    """Read ids as int64 from a tensor, an array, a series or a list of integers; a tensor stays on its device.

    Raises TypeError for values that are not integers, ValueError for integers beyond int64.
    """
    found = ids if isinstance(ids, Tensor) else _of_container(name, ids)
    if found.dtype not in _INTEGERS:
        raise TypeError(f"'{name}' must hold integer ids, got {found.dtype}: {_ANEW}")
    read = found.long()
    if found.dtype == torch.uint64 and bool((read < 0).any()):
        raise ValueError(_too_large(name))
    return read


def _of_container(name: str, ids: Any) -> Tensor:
    try:
        array = np.asarray(ids)
    except ValueError as error:
        raise TypeError(f"'{name}' must hold integer ids, got {type(ids).__name__}: {error}") from error
    if not array.size:
        return torch.zeros(array.shape, dtype=torch.long)
    listed = array.dtype.kind == "f" and isinstance(ids, (list, tuple))  # so NumPy reads [2**63, 0]
    if (array.dtype.kind == "O" or listed) and all(map(_is_integer, ids if listed else array.flat)):
        try:
            array = np.asarray(ids, dtype=object).astype(np.int64)
        except OverflowError:
            raise ValueError(_too_large(name)) from None
    if array.dtype.kind not in "iu":
        others = (type(each).__name__ for each in array.flat if not _is_integer(each))
        got = next(others, array.dtype.name) if array.dtype.kind == "O" else array.dtype.type.__name__
        raise TypeError(f"'{name}' must hold integer ids, got {got}: {_ANEW}")
    return torch.from_numpy(array.astype(np.uint64 if array.dtype == np.uint64 else np.int64))  # a copy, to be kept


def _is_integer(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _too_large(name: str) -> str:
    return f"'{name}' must hold ids of at most {MOST}, got one of 2**63 or more: {_ANEW}"


def check_number(name: str, number: Any) -> int:
    """Return a number of users or items as int; TypeError unless it is an integer, ValueError beyond int32."""
    if isinstance(number, bool) or not hasattr(number, "__index__"):
        raise TypeError(f"'{name}' must be an integer, got {number!r}")
    if not 0 <= (found := operator.index(number)) <= MOST:
        raise ValueError(f"'{name}' must be from 0 to {MOST}, since ids are kept as int32, got {found}: {_ANEW}")
    return found


def check_ids(name: str, ids: Tensor, size: int, padding: bool = False) -> None:
    """Raise an error that names the argument and its first id outside [0, size), or [1, size) where 0 is padding."""
    if ids.dtype not in _INTEGERS:
        raise TypeError(f"'{name}' must hold integer ids, got {ids.dtype}: {_ANEW}")
    ids = ids.long()
    wrong = ((ids < int(padding)) | (ids >= size)).nonzero()
    if wrong.numel():
        place = tuple(wrong[0].tolist())
        note = " (0 is padding)" if padding else ""
        raise ValueError(
            f"'{name}' must hold ids from {int(padding)} to {size - 1}{note}, got {int(ids[place])} at position "
            f"{place[0] if len(place) == 1 else place}; {wrong.size(0)} ids are out of range: {_ANEW}"
        )
