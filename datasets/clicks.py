"""Clicks with users' and items' features: `load_clicks(name)`; `thinned` simulates a uniformly logged sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recsys.data.ratings import Ratings, UniformSplit
from recsys.data.rows import Field, Rows

__all__ = ["CLICKS", "Clicks", "generated", "load_clicks", "thinned"]

LIKED = 4.0  # a rating from which on it counts as a click


@dataclass(frozen=True)
class Clicks:
    """Rows of features with one click each, and RecBole's data object, for its models, if RecBole read them.

    Columns besides the fields: ``rating``; ``y`` (N,), the click, rating >= 4; ``tasks`` (N, 2), the click and, as a
    second task, whether the rating is above the user's mean over the training rows.
    """

    rows: Rows
    context: Any = None


def load_clicks(name: str, *, seed: int = 0) -> Clicks:
    """Load clicks, split 8:1:1 at random.

    Args:
        name: a key of `CLICKS`. `ml-100k`: MovieLens from RecBole's wheel, with age, gender, occupation and postal code
            of users, year and genres of films. `generated`: `generated()`.
        seed: of the split, and of `generated`.

    Raises:
        ValueError: there is no such dataset.
        ImportError: `ml-100k` without RecBole.
    """
    if name not in CLICKS:
        raise ValueError(f"name must be one of {list(CLICKS)}, got {name!r}")
    return CLICKS[name](seed)


def with_tasks(rows: Rows) -> Rows:
    """Add `y` and `tasks` to rows with the columns `rating` and `user_id`, see `Clicks`."""
    rating, users = rows.columns["rating"].double(), rows.columns["user_id"]
    size = int(users.max()) + 1
    sums, counts = torch.zeros(2, size, dtype=torch.float64)
    sums.index_add_(0, users[rows.train], rating[rows.train])
    counts.index_add_(0, users[rows.train], torch.ones(len(rows.train), dtype=torch.float64))
    overall = rating[rows.train].mean()
    mean = torch.where(counts > 0, sums / counts.clamp(min=1), overall)  # without training rows: the overall mean
    click = (rating >= LIKED).float()
    tasks = torch.stack([click, (rating > mean[users]).float()], dim=1)
    return Rows({**rows.columns, "y": click, "tasks": tasks}, rows.fields, rows.train, rows.valid, rows.test)


def generated(num_users: int = 400, num_items: int = 300, count: int = 12_000, *, seed: int = 0) -> Clicks:
    """Draw ratings of 1 to 5 from tastes of rank 3, more for popular items; users' groups and genres hint at tastes.

    Args:
        num_users: users.
        num_items: items.
        count: rows, each another pair; at most half of all pairs.
        seed: of everything random.

    Returns:
        Rows with the fields `user_id`, `item_id`, `group` and the sequence `genres`; ids start at 1.

    Raises:
        ValueError: `count` is too large or not positive.
    """
    if not 0 < count <= num_users * num_items // 2:
        raise ValueError(f"count must be above 0 and at most half of {num_users * num_items} pairs, got {count}")
    random = np.random.default_rng(seed)
    groups, genres = random.integers(5, size=num_users), random.integers(8, size=(num_items, 2))
    tastes, traits = random.normal(size=(5, 3)), random.normal(size=(8, 3))
    user = tastes[groups] + 0.5 * random.normal(size=(num_users, 3))
    item = traits[genres].mean(axis=1) + 0.5 * random.normal(size=(num_items, 3))
    popularity = np.arange(1, num_items + 1) ** -0.7
    clock = random.exponential(size=(num_users, num_items)) / popularity  # the first pairs of a race
    pairs = np.sort(np.argpartition(clock, count, axis=None)[:count])
    users, items = np.divmod(random.permutation(pairs), num_items)
    kindness = 0.6 * random.normal(size=num_users)
    felt = 3.4 + kindness[users] + 0.7 * (user[users] * item[items]).sum(axis=1) + random.normal(size=count)
    columns = {
        "user_id": users + 1,
        "item_id": items + 1,
        "group": groups[users] + 1,
        "genres": genres[items] + 1,
        "rating": felt.round().clip(1, 5).astype(np.float32),
    }
    fields = {"user_id": Field(num_users + 1), "item_id": Field(num_items + 1), "group": Field(6)}
    tenth = count // 10
    ids = torch.arange(count)  # the rows are in random order
    parts = ids[: -2 * tenth], ids[-2 * tenth : -tenth], ids[-tenth:]
    tensors = {name: torch.from_numpy(column) for name, column in columns.items()}
    return Clicks(with_tasks(Rows(tensors, {**fields, "genres": Field(9, sequence=True)}, *parts)))


def keep_probability(users: Tensor, items: Tensor, size: float) -> Tensor:
    """min(1, c / (n_u n_i)) of every pair, c such that `size` pairs are kept on average: (N,), (N,) -> (N,) float64.

    n_u and n_i are the numbers of the user's and of the item's pairs. If users and items are independent, n_u n_i is
    proportional to the propensity that a pair is observed.
    """
    inverse = 1 / (torch.bincount(users)[users] * torch.bincount(items)[items]).double()
    low, high = 0.0, float(1 / inverse.min())  # at the upper end all are kept
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if float((middle * inverse).clamp(max=1).sum()) < size else (low, middle)
    return (high * inverse).clamp(max=1)


def thinned(rows: Rows, *, share: float = 0.1, parts: tuple[float, float] = (0.2, 0.2), seed: int = 0) -> UniformSplit:
    """Simulate uniformly logged ratings, which KDCRec (SIGIR 2020) needs, by inverse-propensity thinning.

    This is a simulation: pairs are kept with `keep_probability`, which evens out how often users and items occur, but
    users still chose items that they would like. The other pairs are the biased data. Values are 1 for a click, -1 for
    none.

    Args:
        rows: with columns `user_id`, `item_id` and `y`; their split is ignored.
        share: of all rows, kept on average.
        parts: shares of the sample for training and validation; the rest tests.
        seed: of the thinning and of the split.

    Raises:
        ValueError: a share is out of range.
    """
    if not 0 < share < 1 or min(parts) <= 0 or sum(parts) >= 1:
        raise ValueError(f"share must be between 0 and 1, and parts above 0 with a sum below 1, got {share}, {parts}")
    columns = rows.columns
    pairs = Ratings(columns["user_id"], columns["item_id"], 2 * columns["y"] - 1)
    random = np.random.default_rng(seed)
    kept = torch.from_numpy(random.random(len(rows))) < keep_probability(pairs.users, pairs.items, share * len(rows))
    ids = torch.from_numpy(random.permutation(kept.nonzero().squeeze(1).numpy()))
    train, valid = (int(part * len(ids)) for part in parts)
    chosen = (~kept, ids[:train], ids[train : train + valid], ids[train + valid :])
    sizes = (rows.fields[name].size for name in ("user_id", "item_id"))
    return UniformSplit(*(Ratings(*(column[part] for column in pairs)) for part in chosen), *sizes)


def _ml_100k(seed: int) -> Clicks:
    from recsys.models import context

    data = context.load("ml-100k", options={"seed": seed})
    return Clicks(with_tasks(data.rows), data)


CLICKS: dict[str, Callable[[int], Clicks]] = {"ml-100k": _ml_100k, "generated": lambda seed: generated(seed=seed)}
