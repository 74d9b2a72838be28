"""Deployment: the exact best items of users, or of any query vectors, from two tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from recsys.data.interactions import Interactions, check_ids
from recsys.models.base import check_model
from recsys.models.tables import Tables


class Best(NamedTuple):
    """The items of highest score for each query, best first: (B, k) int64, and their scores (B, k)."""

    items: Tensor
    scores: Tensor


class Retriever:
    """The exact best items of users or of any query vectors, by blocks of queries and of items.

    seen: pairs that are not recommended again, and whose padding item never is. O(B I d) time,
    ``block_queries`` · ``block_items`` scores at a time.
    """

    def __init__(
        self,
        tables: Tables,
        seen: Interactions | None = None,
        *,
        block_queries: int = 1024,
        block_items: int = 16384,
    ) -> None:
        if seen is not None:
            check_model(tables, seen)
        self.tables, self.seen = tables, seen
        self.block_queries, self.block_items = block_queries, block_items

    @torch.no_grad()
    def users(self, users: Tensor, k: int) -> Best:
        """The best k items of users, (B,), without those they have seen; ValueError where fewer than k are left."""
        check_ids("users", users, self.tables.num_users)
        blocks = users.split(self.block_queries)
        return _joined([self._best(self.tables.user[block], k, block) for block in blocks])

    @torch.no_grad()
    def queries(self, queries: Tensor, k: int) -> Best:
        """The best k items of query vectors, (B, d)."""
        return _joined([self._best(block, k, None) for block in queries.split(self.block_queries)])

    def _best(self, queries: Tensor, k: int, users: Tensor | None) -> Best:
        if not 1 <= k <= self.tables.num_items:
            raise ValueError(f"'k' must be from 1 to {self.tables.num_items}, the number of items, got {k}")
        taken = None if users is None or self.seen is None else self.seen.of(users)
        found: Best | None = None
        for start in range(0, self.tables.num_items, self.block_items):
            scores = queries @ self.tables.item[start : start + self.block_items].T
            if taken is not None:
                inside = (taken[1] >= start) & (taken[1] < start + scores.size(1))
                scores[taken[0][inside], taken[1][inside] - start] = -torch.inf
            if start == 0 and self.seen is not None and self.seen.padding:
                scores[:, 0] = -torch.inf
            best = scores.topk(min(k, scores.size(1)), dim=1)
            found = _merged(found, Best(best.indices + start, best.values), k)
        assert found is not None
        if bool((found.scores[:, -1] == -torch.inf).any()):
            raise ValueError(f"every user must have k = {k} items that were not seen, some have fewer")
        return found


def _joined(parts: Sequence[Best]) -> Best:
    return Best(torch.cat([part.items for part in parts]), torch.cat([part.scores for part in parts]))


def _merged(found: Best | None, more: Best, k: int) -> Best:
    if found is None:
        return more
    scores, items = torch.cat([found.scores, more.scores], dim=1), torch.cat([found.items, more.items], dim=1)
    best = scores.topk(min(k, scores.size(1)), dim=1)
    return Best(items.gather(1, best.indices), best.values)
