"""Negatives of training pairs: their number, their distribution, and the items excluded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from graphkd.core.draws import below
from recsys.data.interactions import Interactions
from recsys.data.sampling import Outside

Law = Literal["uniform", "popularity"]
_ROUNDS = 50  # of redrawing excluded items, before the rest is drawn from lists of all items left
_BLOCK = 2**22  # weights of such lists at a time


@dataclass(frozen=True, eq=False)
class Negatives:
    """Describe how negatives of training pairs are drawn, in the words of RecBole's ``train_neg_sample_args``.

    distribution: "uniform" over the items (Rendle et al., UAI 2009), or "popularity", in proportion to counts^alpha.
    count: negatives of a pair, RecBole's ``sample_num``; a batch repeats its pairs ``count`` times, block after block.
    own: exclude only the pair's own item, as RecBole's ``repeatable`` does, not all training items of the user. counts:
    (I,) events of every item, by default those of the training pairs; RecBole counts held-out events too. Raises
    ValueError for an unknown distribution and for a count below 1.
    """

    distribution: Law = "uniform"
    count: int = 1
    alpha: float = 1.0
    own: bool = False
    counts: Tensor | None = None

    def __post_init__(self) -> None:
        if self.distribution not in ("uniform", "popularity"):
            raise ValueError(f"'distribution' must be 'uniform' or 'popularity', got {self.distribution!r}")
        if not isinstance(self.count, int) or isinstance(self.count, bool) or self.count < 1:
            raise ValueError(f"'count' must be a number of negatives, at least 1, got {self.count!r}")

    def sampler(self, pairs: Interactions) -> Sampler:
        """Make the sampler of training pairs."""
        return Sampler(self, pairs)


class Sampler:
    """Draw negatives of training pairs from torch's global generator; ValueError for a user with nothing to draw."""

    def __init__(self, how: Negatives, pairs: Interactions) -> None:
        self.how, self.pairs, self.first = how, pairs, int(pairs.padding)
        self._outside = None if how.own else Outside(pairs)
        self._weights, self._rising = None, None
        if self._outside is not None:
            self._outside.check(pairs.degrees().nonzero().squeeze(1), 1)
        elif pairs.num_items - self.first < 2:
            raise ValueError(
                f"an item must be left beside a pair's own to draw, there are {pairs.num_items - self.first} in all"
            )
        if how.distribution == "popularity":
            self._weights = self._powers()
            self._rising = self._weights.cumsum(0) / self._weights.sum()
            self._check_weights()

    def draw(self, users: Tensor, positives: Tensor) -> Tensor:
        """Draw a negative for each pair, (n,), (n,) -> (n,) int64."""
        if self._rising is not None:
            return self._by_popularity(users, positives)
        if self._outside is not None:
            return self._outside.one(users)
        ranks = below(torch.full_like(users, self.pairs.num_items - self.first - 1)) + self.first
        return ranks + (ranks >= positives)

    def _powers(self) -> Tensor:
        pairs, counts = self.pairs, self.how.counts
        if counts is None:
            counts = torch.bincount(pairs.events()[1], minlength=pairs.num_items)
        if counts.shape != (pairs.num_items,):
            raise ValueError(f"'counts' must be ({pairs.num_items},), of every item, got {tuple(counts.shape)}")
        weights = counts.to(pairs.items.device).double()
        weights = torch.where(weights > 0, weights.pow(self.how.alpha), 0.0)
        weights[: self.first] = 0
        return weights

    def _check_weights(self) -> None:
        """Raise ValueError that names a user who has all items that can be drawn."""
        assert self._weights is not None
        if self.how.own:
            if int((self._weights > 0).sum()) < 2:
                raise ValueError("'counts' must be above 0 for two items at least, to draw one beside a pair's own")
            return
        users, items = self.pairs.pairs()
        taken = torch.bincount(users[self._weights[items] > 0], minlength=self.pairs.num_users)
        left = int((self._weights > 0).sum()) - taken
        short = (left < 1) & (self.pairs.degrees() > 0)
        if bool(short.any()):
            raise ValueError(
                f"user {int(short.nonzero()[0])} has all items that can be drawn by popularity; {int(short.sum())} "
                "such users: leave them out, or draw uniformly"
            )

    def _by_popularity(self, users: Tensor, positives: Tensor) -> Tensor:
        drawn, again = torch.empty_like(positives), torch.arange(len(users), device=users.device)
        for _ in range(_ROUNDS):
            assert self._rising is not None
            uniform = torch.rand(len(again), dtype=torch.float64, device=users.device)
            found = torch.searchsorted(self._rising, uniform, right=True).clamp_(max=len(self._rising) - 1)
            drawn[again] = found
            again = again[self._excluded(users[again], positives[again], found)]
            if not len(again):
                return drawn
        for rows in again.split(max(1, _BLOCK // self.pairs.num_items)):
            drawn[rows] = self._from_lists(users[rows], positives[rows])
        return drawn

    def _excluded(self, users: Tensor, positives: Tensor, items: Tensor) -> Tensor:
        return items == positives if self.how.own else self.pairs.contains(users, items)

    def _from_lists(self, users: Tensor, positives: Tensor) -> Tensor:
        """Draw once for each row from the weights of all its items left, exactly, for users who have nearly all."""
        assert self._weights is not None
        weights = self._weights.expand(len(users), -1).clone()
        if self.how.own:
            weights[torch.arange(len(users), device=users.device), positives] = 0
        else:
            weights[self.pairs.of(users)] = 0
        return torch.multinomial(weights, 1).squeeze(1)
