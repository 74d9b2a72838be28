"""Lists and vectors of an outside teacher, read from files by tokens."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from recsys.data._records import arrays, records, wrong
from recsys.data.tokens import places_of

_SHOWN = 5  # tokens that a message names


class Known(NamedTuple):
    """The users or the items of some data, by token."""

    what: str
    places: Mapping[str, int]
    size: int
    first: int  # 1 where 0 is padding

    @classmethod
    def users(cls, data: Any) -> Known:
        """Look up the users of a split, of sequences or of pairs; TypeError for data of another kind."""
        return cls._of(data, "user")

    @classmethod
    def items(cls, data: Any) -> Known:
        """Look up the items; otherwise as ``users``."""
        return cls._of(data, "item")

    @classmethod
    def _of(cls, data: Any, what: str) -> Known:
        chain = [data]
        for name in ("sequences", "sequences", "split", "train"):  # from the bridge's data or a split to pairs
            inner = getattr(chain[-1], name, None)
            chain += [] if inner is None else [inner]
        held, size = chain[-1], getattr(chain[-1], f"num_{what}s", None)
        if not isinstance(size, int):
            raise TypeError(
                "'data' must be a SequenceSplit, Sequences, Split or Interactions, whose tokens the file has, got "
                f"{type(data).__name__}"
            )
        tokens = next((names for each in chain if (names := getattr(each, f"{what}_tokens", None))), None)
        first = int(getattr(held, "padding", True))
        return cls(what, places_of(tokens or tuple(map(str, range(size)))), size, first)

    def id_of(self, token: Any, path: Path, where: str) -> int:
        """Return the id of a token; ValueError that names its place in the file where the data do not have it."""
        if isinstance(token, bool) or not isinstance(token, (str, int)):
            raise wrong(path, where, f"the {self.what} must be a text or a whole number, got {token!r}")
        found = self.places.get(str(token), -1)
        if found < self.first:
            raise wrong(path, where, f"there is no {self.what} {str(token)!r} among the {self.size - self.first} known")
        return found


class Columns(NamedTuple):
    """Names of the entries of a record."""

    user: str
    item: str
    distance: str
    step: str


class Found(NamedTuple):
    """Lists of a file: users (n,), items (n, K), distances (n, K), steps (n,) or None."""

    users: Tensor
    items: Tensor
    distances: Tensor
    steps: Tensor | None


class _List:
    """A list while it is read: its place in the file, and its items."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.items: dict[int, float] = {}  # item -> distance, in the order of the file


def lists_in(path: Path, users: Known, items: Known, columns: Columns, k: int | None) -> Found:
    """Read the lists of a file; ValueError with file and line for an invalid record. O(entries)."""
    found: dict[tuple[int, int], _List] = {}
    whole: set[tuple[int, int]] = set()  # complete lists, from one record each; no other record may add to them
    for where, record in records(path):
        key = users.id_of(_entry(record, columns.user, path, where), path, where), _step(record, columns, path, where)
        tokens, distances = _items(record, columns, path, where)
        listed = isinstance(_entry(record, columns.item, path, where), list)
        if key in whole or (listed and key in found):
            raise wrong(path, where, f"the list of this user must come once, it began in {found[key].where}")
        if listed:
            whole.add(key)
        entry = found.setdefault(key, _List(where))
        for token, distance in zip(tokens, distances, strict=True):
            item = items.id_of(token, path, where)
            if item in entry.items:
                raise wrong(path, where, f"the item {str(token)!r} must be in a list once, got it twice")
            entry.items[item] = distance
    if not found:
        raise ValueError(f"{str(path)!r} must hold one list at least, got none")
    return _joined(path, found, k)


def _joined(path: Path, found: Mapping[tuple[int, int], _List], k: int | None) -> Found:
    """Join the lists to tensors; ValueError for a list that is too short, of another length, or without a step."""
    lists = list(found.values())
    length = len(lists[0].items) if k is None else k
    if length < 1:
        raise wrong(path, lists[0].where, "a list must have one item at least, got none")
    for each in lists:
        if len(each.items) < length or (k is None and len(each.items) > length):
            more = f"{length} items at least, as 'k' says" if k is not None else f"the {length} items of the first"
            raise wrong(
                path, each.where, f"the list must have {more}, got {len(each.items)}: say 'k' to take the first"
            )
    stepless = {step == 0 for _, step in found}
    if len(stepless) > 1:
        raise ValueError(f"{str(path)!r} must give the step of every list or of none, got it for some")
    return Found(
        torch.tensor([user for user, _ in found]),
        torch.tensor([list(each.items)[:length] for each in lists]),
        torch.tensor([list(each.items.values())[:length] for each in lists]),
        None if stepless == {True} else torch.tensor([step for _, step in found]),
    )


def _entry(record: Mapping[str, Any], name: str, path: Path, where: str) -> Any:
    value = record.get(name)
    if value is None or value == "":
        raise wrong(path, where, f"there must be an entry {name!r}, got {sorted(map(str, record))}")
    return value


def _step(record: Mapping[str, Any], columns: Columns, path: Path, where: str) -> int:
    """Read how many items of the history precede a list, 0 where the file does not give it."""
    value = record.get(columns.step)
    if value is None or value == "":
        return 0
    text = str(value)
    if isinstance(value, (bool, float, list)) or not (text.isascii() and text.isdigit()) or not 0 < int(text) < 2**31:
        raise wrong(path, where, f"{columns.step!r} must be a whole number from 1 on, got {value!r}")
    return int(text)


def _items(record: Mapping[str, Any], columns: Columns, path: Path, where: str) -> tuple[list[Any], list[float]]:
    """Return the tokens of a record's items and their distances, zeros where it has none."""
    tokens, distances = _entry(record, columns.item, path, where), record.get(columns.distance)
    tokens = tokens if isinstance(tokens, list) else [tokens]
    if distances is None or distances == "":
        return tokens, [0.0] * len(tokens)
    distances = distances if isinstance(distances, list) else [distances]
    if len(distances) != len(tokens):
        raise wrong(path, where, f"there must be a distance for each of {len(tokens)} items, got {len(distances)}")
    numbers = [_number(each, columns.distance, path, where) for each in distances]
    if min(numbers, default=0.0) < 0:
        raise wrong(path, where, f"{columns.distance!r} must be 0 or more, got {min(numbers)}")
    return tokens, numbers


def _number(value: Any, name: str, path: Path, where: str) -> float:
    try:
        found = math.nan if isinstance(value, (bool, list)) else float(value)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise wrong(path, where, f"{name!r} must hold finite numbers, got {value!r}")
    return found


# ------------------------------------------------------------------ vectors
def vectors_in(path: Path, items: Known, item: str, vector: str) -> Tensor:
    """Read one vector for every item: (size, D) float32, zeros for padding; ValueError for an invalid record."""
    if path.suffix == ".npz" and path.is_file():
        ids, rows = _vectors_of_arrays(path, items, item, vector)
    else:
        found = dict[int, list[float]]()
        for where, token, numbers in _vectors(path, item, vector):
            place = items.id_of(token, path, where)
            if place in found:
                raise wrong(path, where, f"the item {str(token)!r} must have one vector, got two")
            if len(numbers) != len(next(iter(found.values()), numbers)) or not numbers:
                raise wrong(path, where, f"vectors must be of one width, got one of {len(numbers)} numbers")
            found[place] = numbers
        ids, rows = torch.tensor(list(found)), torch.tensor(list(found.values()))
    there = torch.zeros(items.size, dtype=torch.bool)
    there[ids.long()] = True
    lacking = (~there[items.first :]).nonzero().squeeze(1) + items.first
    if len(lacking):
        names = list(items.places)
        raise ValueError(
            f"{str(path)!r} must have a vector for each of {items.size - items.first} items, it lacks {len(lacking)}: "
            f"{[names[place] for place in lacking[:_SHOWN].tolist()]}{' ...' if len(lacking) > _SHOWN else ''}"
        )
    table = torch.zeros(items.size, rows.size(1))
    table[ids] = rows.float()
    if not bool(table.isfinite().all()):
        raise ValueError(f"{str(path)!r} must hold vectors that float32 can have, got numbers that are too large")
    return table


def _vectors_of_arrays(path: Path, items: Known, item: str, vector: str) -> tuple[Tensor, Tensor]:
    held = arrays(path)
    if item not in held or vector not in held:
        raise ValueError(f"{str(path)!r} must hold the arrays {item!r} and {vector!r}, got {sorted(held)}")
    tokens, rows = held[item].tolist(), held[vector]
    if held[item].ndim != 1 or rows.ndim != 2 or rows.dtype.kind not in "fiu" or not np.isfinite(rows).all():
        what = f"{rows.dtype} of shape {rows.shape}, for items of shape {held[item].shape}"
        raise ValueError(f"{str(path)!r} must have finite numbers (n, D) as {vector!r}, got {what}")
    ids = torch.tensor([items.id_of(token, path, f"row {row}") for row, token in enumerate(tokens)], dtype=torch.long)
    if len(ids.unique()) < len(ids):
        raise ValueError(f"{str(path)!r} must have one vector for an item, got several for some")
    return ids, torch.from_numpy(rows.astype(np.float32))


def _vectors(path: Path, item: str, vector: str) -> Iterator[tuple[str, Any, list[float]]]:
    """Yield place, token and numbers of each record."""
    for where, record in records(path):
        token = _entry(record, item, path, where)
        if path.suffix in (".csv", ".tsv"):
            numbers: Any = [value for name, value in record.items() if name != item]
        else:
            numbers = _entry(record, vector, path, where)
        if not isinstance(numbers, list):
            raise wrong(path, where, f"{vector!r} must be a list of numbers, got {type(numbers).__name__}")
        yield where, token, [_number(value, vector, path, where) for value in numbers]
