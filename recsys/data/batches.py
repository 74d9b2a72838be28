"""Training batches of ranking distillation: triplets, and the lists whose scores the methods ask for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.data.lists import Lists
from recsys.data.negatives import Negatives
from recsys.data.source import Source, WithSources


class RankingBatches(WithSources):
    """Iterate over all training pairs in random order, each with its negatives, and the lists of the sources.

    A pair that was taken several times occurs as often. A batch is a dict: ``users``, ``positives``, ``negatives`` (B,)
    int64; ``unique_users``, sorted; ``positive`` and ``negative``, ``Lists`` of one column each; and the entries of
    every source. By default a negative is uniform outside the user's training items, so that held-out items may be
    drawn, and is redrawn every epoch (Rendle et al., UAI 2009); ``negatives`` changes this. With k negatives a pair, a
    batch repeats its pairs k times, block after block, and has k as ``copies``. All draws come from torch's global
    generator, at the beginning of the epoch or in the order of the batches, so a resumed ``fit`` repeats them. O(nnz
    log nnz) an epoch besides the sources. Raises ValueError for a user who has all items.

    Example::

        >>> pairs = Interactions.from_pairs([0, 0, 1], [0, 1, 2], 2, 3)
        >>> batch = next(iter(RankingBatches(pairs, batch_size=3)))
        >>> sorted(zip(batch["users"].tolist(), batch["positives"].tolist()))
        [(0, 0), (0, 1), (1, 2)]
        >>> pairs.contains(batch["users"], batch["negatives"]).any()
        tensor(False)
    """

    def __init__(
        self,
        interactions: Interactions,
        *,
        batch_size: int = 1024,
        sources: Mapping[str, Source] | None = None,
        negatives: Negatives | None = None,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"'batch_size' must be at least 1, got {batch_size}")
        if not len(interactions):
            raise ValueError("'interactions' must hold at least one pair to train on, got none")
        self.interactions, self.batch_size = interactions, batch_size
        self.sources = dict(sources or {})
        self.negatives = negatives or Negatives()
        self._sampler = self.negatives.sampler(interactions)
        self._users, self._positives = interactions.events()

    def __len__(self) -> int:
        return -(-self._users.size(0) // self.batch_size)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for source in self.sources.values():
            source.resample()
        copies = self.negatives.count
        drawn = [self._sampler.draw(self._users, self._positives) for _ in range(copies)]
        order = torch.randperm(self._users.size(0), device=drawn[0].device)
        for rows in order.split(self.batch_size):
            users, positives, *negatives = (
                column.index_select(0, rows) for column in (self._users, self._positives, *drawn)
            )
            if copies == 1:
                yield self._batch(users, positives, negatives[0])
            else:
                yield self._batch(users.repeat(copies), positives.repeat(copies), torch.cat(negatives))

    def _batch(self, users: Tensor, positives: Tensor, negatives: Tensor) -> dict[str, Any]:
        batch: dict[str, Any] = {
            "users": users,
            "positives": positives,
            "negatives": negatives,
            "unique_users": users.unique(),
            "positive": Lists(users, positives[:, None]),
            "negative": Lists(users, negatives[:, None]),
        }
        if self.negatives.count > 1:
            batch["copies"] = self.negatives.count
        return {**batch, **dict(self._entries(batch, batch))}
