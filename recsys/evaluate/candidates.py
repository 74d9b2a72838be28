"""Candidates as RecBole draws them in its modes uniN and popN: N for every held-out event."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recsys.data.interactions import Interactions

_MODE = re.compile(r"(uni|pop)([1-9][0-9]*)")
_TRIES = 1000  # rounds of draws, after which a user counts as one with nothing left


@dataclass(frozen=True)
class Candidates:
    """Rows of users, items, and whether the item is held out: (n,) each, ordered by user, held-out items first.

    Negatives may repeat: rankings count them once, value metrics as often as they occur.
    """

    users: Tensor
    items: Tensor
    positive: Tensor

    def __len__(self) -> int:
        return self.users.size(0)


def read_mode(mode: str) -> tuple[str, int]:
    """Read "uni100" or "pop100": "uni" or "pop", and the number; ValueError for another form."""
    found = _MODE.fullmatch(mode)
    if found is None:
        raise ValueError(f"'mode' must be 'uniN' or 'popN' with a number, as 'uni100', got {mode!r}")
    return found[1], int(found[2])


def drawn_candidates(
    relevant: Interactions,
    known: Interactions | None,
    mode: str,
    *,
    popularity: Tensor | None = None,
    seed: int | None = 0,
) -> Candidates:
    """Draw N negatives for each held-out event, with replacement, as RecBole's uniN and popN do.

    relevant: held-out pairs; an event counts as often as it occurred. known: pairs that are never drawn, which are
    training and validation pairs and, for the test, the test pairs too. None: only the event's own item is excluded, as
    in RecBole's ``repeatable``. mode: "uni100" draws uniformly over the items, "pop100" in proportion to ``popularity``
    (I,); RecBole's is the number of events in training, validation and test together, to the power of ``alpha``.
    Excluded items are redrawn. seed: of the draws; None: numpy's global generator, with new draws at every call, as in
    RecBole, whose uniform draws these are after ``numpy.random.seed(seed)``. O(N events) besides the redraws. Returns
    the held-out items and their negatives. Raises ValueError for a user with nothing to draw.

    Example::

        drawn_candidates(split.test, split.train.union(split.valid, split.test), "uni100")
    """
    law, number = read_mode(mode)
    draw = _Draw(law, relevant, popularity, np.random if seed is None else np.random.RandomState(seed))
    users, items = relevant.events()
    found: list[NDArray[np.int64]] = []
    taken = np.zeros(relevant.num_items, dtype=bool)
    held = items.cpu().numpy()
    ends = torch.bincount(users, minlength=relevant.num_users).cumsum(0).tolist()
    start = 0
    for user, end in enumerate(ends):
        if end == start:
            continue
        own = held[start:end]
        if known is None:
            found.append(draw.apart_from(np.tile(own, number), user))
        else:
            used = known.items[known.ptr[user] : known.ptr[user + 1]].cpu().numpy()
            taken[used] = True
            found.append(draw.outside(taken, len(own) * number, user))
            taken[used] = False
        start = end
    return _joined(users, items, found, number)


def _joined(users: Tensor, items: Tensor, drawn: list[NDArray[np.int64]], number: int) -> Candidates:
    """Join held-out and drawn items, ordered by user, held-out items first."""
    negatives = torch.from_numpy(np.concatenate(drawn) if drawn else np.zeros(0, dtype=np.int64)).to(items.device)
    all_users = torch.cat([users, users.repeat_interleave(number)])
    positive = torch.arange(len(all_users), device=users.device) < len(users)
    order = all_users.argsort(stable=True)
    return Candidates(all_users[order], torch.cat([items, negatives])[order], positive[order])


class _Draw:
    """Draws of items by a distribution, from one of numpy's generators."""

    def __init__(self, law: str, pairs: Interactions, popularity: Tensor | None, random: object) -> None:
        self.first, self.size, self.random = int(pairs.padding), pairs.num_items, random
        self.rising: NDArray[np.float64] | None = None
        if law == "uni":
            return
        if popularity is None or popularity.shape != (pairs.num_items,):
            got = None if popularity is None else tuple(popularity.shape)
            raise ValueError(f"'popularity' must be ({pairs.num_items},), a weight of every item, got {got}")
        weights = popularity.double().cpu().numpy().copy()
        weights[: self.first] = 0
        if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.sum() > 0):
            raise ValueError("'popularity' must be finite, nowhere negative and not 0 everywhere")
        self.rising = np.cumsum(weights) / weights.sum()

    def __call__(self, count: int) -> NDArray[np.int64]:
        random: np.random.RandomState = self.random  # type: ignore[assignment]
        if self.rising is None:
            return np.asarray(random.randint(self.first, self.size, count), dtype=np.int64)
        places = np.searchsorted(self.rising, random.random_sample(count), side="right")
        return np.minimum(places, self.size - 1).astype(np.int64)

    def outside(self, taken: NDArray[np.bool_], count: int, user: int) -> NDArray[np.int64]:
        """Draw items that are not taken."""
        if self._mass_outside(taken) <= 0:
            raise ValueError(f"user {user} has all items that could be drawn: leave the user out, or rank in full")
        values = self(count)
        again = np.flatnonzero(taken[values])
        while len(again):
            values[again] = new = self(len(again))
            again = again[taken[new]]
        return values

    def _mass_outside(self, taken: NDArray[np.bool_]) -> float:
        free = ~taken
        free[: self.first] = False
        if self.rising is None:
            return float(free.sum())
        return float(np.diff(self.rising, prepend=0.0)[free].sum())

    def apart_from(self, own: NDArray[np.int64], user: int) -> NDArray[np.int64]:
        """Draw for each event an item that is not its own."""
        values, again = np.zeros_like(own), np.arange(len(own))
        for _ in range(_TRIES):
            values[again] = self(len(again))
            again = again[values[again] == own[again]]
            if not len(again):
                return values
        raise ValueError(f"user {user} has no other item that could be drawn: leave the user out, or rank in full")
