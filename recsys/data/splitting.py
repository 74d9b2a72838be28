"""Splits of interactions: at random, by time, by each user's last events, by rows, or from given parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from graphkd.core.rng import seeded
from recsys.data.ids import read_ids
from recsys.data.interactions import Interactions, Split
from recsys.data.tokens import ordered, places_of

Shares = Sequence[float]


def by_ratio(pairs: Interactions, shares: Shares, seed: int, within_users: bool) -> Split:
    """Split pairs at random, all events of a pair together."""
    with seeded(seed):
        order = torch.randperm(len(pairs))
    users = pairs.users().cpu()
    if within_users:
        order = order[users[order].argsort(stable=True)]
    part = _parts(users if within_users else None, order, _read(shares))
    return _split(pairs, part if pairs.repeats is None else part.repeat_interleave(pairs.repeats.cpu()))


def by_time(pairs: Interactions, shares: Shares, within_users: bool) -> Split:
    """Split events in the order of time."""
    order, users = time_order(pairs), pairs.events()[0].cpu()
    if within_users:
        order = order[users[order].argsort(stable=True)]
    return _split(pairs, _parts(users if within_users else None, order, _read(shares)))


def leave_last_out(pairs: Interactions) -> Split:
    """Give each user's last event to the test and the one before to validation, as RecBole's ``LS``."""
    users = pairs.events()[0].cpu()
    order = time_order(pairs)
    order = order[users[order].argsort(stable=True)]
    sizes = torch.bincount(users, minlength=pairs.num_users)
    left = (sizes.cumsum(0) - 1)[users[order]] - torch.arange(len(order))  # later events of the same user
    own = sizes[users[order]]
    part = torch.zeros(len(order), dtype=torch.long)
    part[order] = torch.where((left == 0) & (own > 1), 2, torch.where((left == 1) & (own > 2), 1, 0))
    return _split(pairs, part)


def by_rows(pairs: Interactions, parts: Sequence[Any]) -> Split:
    """Split by the rows that the interactions were built from."""
    if pairs.rows is None:
        raise ValueError("'pairs' must know their rows: build them by Interactions.from_tokens or from_dataframe")
    known = pairs.rows.cpu()
    number = torch.full((int(known.max()) + 1 if len(known) else 0,), -1)
    part = torch.full_like(number, -1)
    number[known] = torch.arange(len(known))
    for place, (name, given) in enumerate(zip(("train", "valid", "test"), parts, strict=True)):
        rows = _rows(name, given, len(number))
        twice = rows[(part[rows] >= 0) | (torch.bincount(rows, minlength=len(number))[rows] > 1)]
        if twice.numel():
            raise ValueError(f"'{name}' must have rows of its own, row {int(twice[0])} is in two places")
        part[rows] = place
    return _split(pairs, part[known])


def given(parts: Sequence[Interactions]) -> Split:
    """Renumber the tokens of three sets of interactions together."""
    for name, each in zip(("train", "valid", "test"), parts, strict=True):
        if each.user_tokens is None or each.item_tokens is None:
            raise ValueError(
                f"'{name}' must know its tokens, as of Interactions.from_tokens, from_dataframe or read_interactions; "
                "of interactions over the same ids Split(train, valid, test) is the split"
            )
    users, items = (
        ordered({token for each in parts for token in getattr(each, f"{side}_tokens")}) for side in ("user", "item")
    )
    train, valid, test = (renumbered(each, users, items) for each in parts)
    return Split(train, valid, test, users, items)


def renumbered(pairs: Interactions, users: tuple[str, ...], items: tuple[str, ...]) -> Interactions:
    """Return the same events with ids by larger sets of tokens."""
    assert pairs.user_tokens is not None
    assert pairs.item_tokens is not None
    rows, columns = pairs.events()
    maps = [
        torch.tensor([place[token] for token in own], dtype=torch.long, device=rows.device)
        for place, own in ((places_of(users), pairs.user_tokens), (places_of(items), pairs.item_tokens))
    ]
    found = Interactions.from_pairs(
        maps[0][rows], maps[1][columns], len(users), len(items), times=pairs.times, rows=pairs.rows
    )
    return replace(found, user_tokens=users, item_tokens=items)


def time_order(pairs: Interactions) -> Tensor:
    """Order events by time, events of the same time by row: (events,) places in the order of ``events()``.

    Raises ValueError for interactions without times.
    """
    if pairs.times is None:
        raise ValueError("'pairs' must have times: give 'time', or 'times', where they are built")
    order = torch.arange(len(pairs.times)) if pairs.rows is None else pairs.rows.cpu().argsort(stable=True)
    return order[pairs.times.cpu()[order].argsort(stable=True)]


def _read(shares: Shares) -> list[float]:
    found = [float(share) for share in shares]
    if len(found) != 3 or not all(0 <= share < float("inf") for share in found) or not found[0]:
        raise ValueError(f"'shares' must be three of training, validation and test, as (0.8, 0.1, 0.1), got {shares}")
    return [share / sum(found) for share in found]


def _parts(users: Tensor | None, order: Tensor, shares: list[float]) -> Tensor:
    """Assign each event part 0, 1 or 2, by shares of each user's events, or of all; ``order`` must be by user."""
    if users is None:
        users = torch.zeros(len(order), dtype=torch.long)
    sizes = torch.bincount(users)
    held = _held(sizes, shares)
    sorted_users = users[order]
    place = torch.arange(len(order)) - (sizes.cumsum(0) - sizes)[sorted_users]
    ends = sizes - held[1], sizes - held[0] - held[1]
    part = torch.empty(len(order), dtype=torch.long)
    part[order] = torch.where(place >= ends[0][sorted_users], 2, (place >= ends[1][sorted_users]).long())
    return part


def _held(sizes: Tensor, shares: list[float]) -> tuple[Tensor, Tensor]:
    """Count each user's events for validation and for the test, by RecBole's rule.

    Numbers are rounded down, but raised to one, first for the test, while more than one event is left for training.
    """
    counts = [(sizes.double() * share + 1e-9).long() for share in shares[1:]]
    for place in (1, 0):
        left = sizes - counts[0] - counts[1]
        short = (counts[place] == 0) & (sizes * shares[1 + place] > 0) & (left > 1)
        counts[place] = counts[place] + short.long()
    return counts[0], counts[1]


def _split(pairs: Interactions, part: Tensor) -> Split:
    part = part.to(pairs.ptr.device)
    train, valid, test = (some_events(pairs, part == number) for number in range(3))
    return Split(train, valid, test, pairs.user_tokens, pairs.item_tokens)


def some_events(pairs: Interactions, kept: Tensor) -> Interactions:
    """Select some of the events, (events,) bool in the order of ``events()``, over the same ids."""
    users, items = pairs.events()
    times, rows = (None if each is None else each[kept] for each in (pairs.times, pairs.rows))
    found = Interactions.from_pairs(
        users[kept], items[kept], pairs.num_users, pairs.num_items, padding=pairs.padding, times=times, rows=rows
    )
    return replace(found, user_tokens=pairs.user_tokens, item_tokens=pairs.item_tokens)


def _rows(name: str, given: Any, size: int) -> Tensor:
    """Return row numbers, given as such or as a mask."""
    mask = torch.as_tensor(given)
    if mask.dtype == torch.bool:
        if mask.shape != (size,):
            raise ValueError(f"'{name}' must say of each of {size} rows whether it is in, got shape {list(mask.shape)}")
        return mask.nonzero().squeeze(1).cpu()
    rows = read_ids(name, given).cpu()
    wrong = rows[(rows < 0) | (rows >= size)]
    if wrong.numel():
        raise ValueError(f"'{name}' must hold rows from 0 to {size - 1}, got {int(wrong[0])}")
    return rows
