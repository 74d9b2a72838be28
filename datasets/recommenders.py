"""Datasets of recommenders: `load_interactions(name)` returns the training, validation and test pairs."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from datasets.mirror import available, fetch
from recsys import Interactions, Split

__all__ = ["RECOMMENDERS", "load_interactions", "skewed"]

# Prepared arrays from the mirror, since they are not published.
FILES = {
    "citeulike_loo_derrd.npz": "b46e63cdf68c4b2495fa39a13b8fcc40dbcf11e9151403ca9e582b538773505c",
    "citeulike_loo_td.npz": "a2c1dd734fdcab18b9f45cf18446224f54f66ee274e0db23624a1b2782600d1b",
    "gowalla.npz": "e7466ce01c03d277bc92acfa367cd7c81b7e205abecd9746fe6281d883f3594b",
}


def load_interactions(name: str, *, seed: int = 0, root: str | Path | None = None) -> Split:
    """Load the training, validation and test pairs of a dataset.

    Args:
        name: a key of `RECOMMENDERS`. `ml-100k`: MovieLens from RecBole's wheel, split 8:1:1 by RecBole.
            `citeulike-derrd`, `citeulike-td`: leave-one-out splits of Kang et al., CIKM 2020 and KDD 2021; one of the
            5,220 users and one of the 25,182 items have no pairs. `gowalla`: He et al., SIGIR 2020; a fifth of the
            users with test items validate, the others test. `skewed`: `skewed()`.
        seed: of the split of `ml-100k` and `gowalla`, and of `skewed`; the others are fixed.
        root: the cache folder, see `datasets.mirror.fetch`.

    Raises:
        ValueError: there is no such dataset.
        RuntimeError: a raw file is missing or has another checksum.
        ImportError: `ml-100k` without RecBole.
    """
    if name not in RECOMMENDERS:
        raise ValueError(f"name must be one of {list(RECOMMENDERS)}, got {name!r}")
    return RECOMMENDERS[name](seed, root)


def skewed(
    num_users: int = 2000,
    num_items: int = 1000,
    pairs_per_user: float = 20.0,
    *,
    skew: float = 0.8,
    tastes: int = 10,
    loyalty: float = 0.7,
    seed: int = 0,
) -> Split:
    """Draw pairs whose items follow a power law, with tastes that a model can learn; memory O(pairs).

    Item i has popularity (i + 1)^-skew; each item and each user has one taste. A pair's item is drawn by popularity,
    with probability `loyalty` among the items of the user's taste, else among all; repeated pairs count once.

    Args:
        num_users: users.
        num_items: items, at least three for each taste.
        pairs_per_user: mean draws per user, geometrically distributed from 3 on; repeated draws make fewer pairs.
        skew: exponent of the power law, 0 for none.
        tastes: number of tastes.
        loyalty: probability of a draw from the user's taste.
        seed: of everything random.

    Returns:
        The pairs split 8:1:1 within every user.

    Raises:
        ValueError: an argument is out of range.
    """
    for name, value, holds, range_ in (
        ("num_users", num_users, num_users >= 1, "at least 1"),
        ("tastes", tastes, tastes >= 1, "at least 1"),
        ("num_items", num_items, num_items >= 3 * tastes, f"at least three for each of {tastes} tastes"),
        ("pairs_per_user", pairs_per_user, pairs_per_user > 3, "above 3"),
        ("loyalty", loyalty, 0 <= loyalty <= 1, "between 0 and 1"),
    ):
        if not holds:
            raise ValueError(f"{name} must be {range_}, got {value}")
    random = np.random.default_rng(seed)
    counts = 2 + random.geometric(1 / (pairs_per_user - 2), size=num_users)
    users = np.repeat(np.arange(num_users), counts)
    items = _draw_items(random, random.integers(tastes, size=num_users)[users], num_items, skew, tastes, loyalty)
    order = random.permutation(num_items)  # so that ids do not reveal popularity
    pairs = Interactions.from_pairs(torch.from_numpy(users), torch.from_numpy(order[items]), num_users, num_items)
    return _by_ratio(pairs, random)


def _draw_items(
    random: np.random.Generator, taste: np.ndarray, num_items: int, skew: float, tastes: int, loyalty: float
) -> np.ndarray:
    """Draw one item per entry of `taste`; item i has taste i mod `tastes`."""
    popularity = np.arange(1, num_items + 1) ** -skew
    items = np.searchsorted(np.cumsum(popularity) / popularity.sum(), random.random(len(taste)))
    loyal = random.random(len(taste)) < loyalty
    for number in range(tastes):
        drawn = loyal & (taste == number)
        mass = np.cumsum(popularity[number::tastes])
        items[drawn] = number + tastes * np.searchsorted(mass / mass[-1], random.random(drawn.sum()))
    return items.clip(max=num_items - 1)


def _by_ratio(pairs: Interactions, random: np.random.Generator) -> Split:
    """Split off a tenth of every user's pairs for validation and as many for the test; one each from 3 pairs on."""
    users, items = pairs.pairs()
    keys = torch.from_numpy(random.random(len(pairs)))
    shuffled = keys.argsort()
    shuffled = shuffled[users[shuffled].argsort(stable=True)]
    degrees = pairs.degrees()
    place = torch.arange(len(pairs)) - pairs.ptr[users]  # of the shuffled pairs within their user
    held = torch.where(degrees >= 3, (degrees / 10).round().clamp(min=1), 0).long()[users]
    users, items = users[shuffled], items[shuffled]
    parts = (place >= 2 * held, place < held, (place >= held) & (place < 2 * held))
    train, valid, test = (_pairs(users[part], items[part], pairs.num_users, pairs.num_items) for part in parts)
    return Split(train, valid, test)


def _pairs(users: Tensor, items: Tensor, num_users: int, num_items: int) -> Interactions:
    return Interactions.from_pairs(users, items, num_users, num_items)


def _ml_100k(seed: int, _root: str | Path | None) -> Split:
    from recsys import bridge  # only this dataset needs RecBole

    return bridge.load("ml-100k", options={"seed": seed}).split


def _arrays(file: str, root: str | Path | None) -> dict[str, np.ndarray]:
    relative = f"recsys/{file}"
    if not available(relative, root):
        raise RuntimeError(
            f"{relative} is published nowhere: set GRAPHKD_MIRROR to a folder that contains it, or put it in the cache"
        )
    with np.load(fetch(relative, "", FILES[file], root), allow_pickle=False) as arrays:
        return dict(arrays)


def _leave_one_out(file: str, root: str | Path | None) -> Split:
    arrays = _arrays(file, root)
    sizes = int(arrays["num_users"]), int(arrays["num_items"])
    train = torch.from_numpy(arrays["train"]).long()
    held_out = (torch.from_numpy(arrays[name]).long() for name in ("valid_item", "test_item"))
    chosen = (((item >= 0).nonzero().squeeze(1), item) for item in held_out)
    valid, test = (_pairs(users, item[users], *sizes) for users, item in chosen)
    return Split(_pairs(train[:, 0], train[:, 1], *sizes), valid, test)


def _gowalla(seed: int, root: str | Path | None) -> Split:
    arrays = _arrays("gowalla.npz", root)
    sizes = int(arrays["num_users"]), int(arrays["num_items"])
    train, test = (torch.from_numpy(arrays[name]).long() for name in ("train", "test"))
    validates = torch.from_numpy(np.random.default_rng(seed).random(sizes[0]) < 0.2)[test[:, 0]]
    trained, valid, tested = (
        _pairs(side[:, 0], side[:, 1], *sizes) for side in (train, test[validates], test[~validates])
    )
    return Split(trained, valid, tested)


RECOMMENDERS: dict[str, Callable[[int, str | Path | None], Split]] = {
    "ml-100k": _ml_100k,
    "citeulike-derrd": lambda _seed, root: _leave_one_out("citeulike_loo_derrd.npz", root),
    "citeulike-td": lambda _seed, root: _leave_one_out("citeulike_loo_td.npz", root),
    "gowalla": _gowalla,
    "skewed": lambda seed, _root: skewed(seed=seed),
}
