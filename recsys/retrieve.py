"""Deployment: the exact best items of users, or of any query vectors, from two tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from recsys.block_top import block_topk
from recsys.data.ids import check_ids, read_ids
from recsys.data.interactions import Interactions
from recsys.models.base import check_model
from recsys.models.finite import check_finite
from recsys.models.tables import Tables, finite_tables


class Best(NamedTuple):
    """The items of highest score for each query, best first: ``items`` (B, k) int64, and their ``scores`` (B, k).

    A list with fewer than k items is filled up with item -1 at score minus infinity.
    """

    items: Tensor
    scores: Tensor


class Retriever:
    """The exact best items of users or of any query vectors, by blocks of queries and of items.

    tables: of a model (``tables_of``) or of an export. seen: pairs that are not recommended again. The padding item of
    the tables or of ``seen`` is never recommended. O(B I d) time, at most ``block_queries`` · ``block_items`` scores at
    a time; with few queries a block has more items. ``block_topk`` finds the best in one pass over the scores. Raises
    ValueError for tables that contain NaN or infinity, and for scores that overflow to these.
    """

    def __init__(
        self,
        tables: Tables,
        seen: Interactions | None = None,
        *,
        block_queries: int = 1024,
        block_items: int = 16384,
    ) -> None:
        self.tables, self.seen = finite_tables(tables), seen
        if seen is not None:
            check_model(tables, seen)
        self.padding = tables.padding or (seen is not None and seen.padding)
        self.block_queries, self.block_items = block_queries, block_items

    @torch.no_grad()
    def users(self, users: Any, k: int) -> Best:
        """Find the best k items of users, (B,), without those they have seen; who has fewer left gets a shorter list.

        Raises ValueError for ids out of range, and for k outside 1 to the number of items.
        """
        users = read_ids("users", users).to(self.tables.user.device)
        check_ids("users", users, self.tables.num_users)
        blocks = users.split(self.block_queries)
        return _joined([self._best(self.tables.users_at(block), k, block) for block in blocks])

    @torch.no_grad()
    def queries(self, queries: Tensor, k: int) -> Best:
        """Find the best k items of query vectors, (B, d); ValueError for another shape or k."""
        width = self.tables.item.size(1)
        if queries.dim() != 2 or queries.size(1) != width:
            raise ValueError(f"'queries' must be vectors (B, {width}), got shape {tuple(queries.shape)}")
        return _joined([self._best(block, k, None) for block in queries.split(self.block_queries)])

    def _best(self, queries: Tensor, k: int, users: Tensor | None) -> Best:
        if not 1 <= k <= self.tables.num_items:
            raise ValueError(f"'k' must be from 1 to {self.tables.num_items}, the number of items, got {k}")
        taken = None if users is None or self.seen is None else self.seen.of(users.to(self.seen.ptr.device))
        found: Best | None = None
        step = max(self.block_items, self.block_items * self.block_queries // max(len(queries), 1))
        for start in range(0, self.tables.num_items, step):
            scores = self.tables.scores_of(queries, start, min(start + step, self.tables.num_items))
            check_finite(scores[:, int(start == 0 and self.padding) :], "'tables' must give finite scores")
            if taken is not None:
                inside = (taken[1] >= start) & (taken[1] < start + scores.size(1))
                scores[taken[0][inside], taken[1][inside] - start] = -torch.inf
            if start == 0 and self.padding:
                scores[:, 0] = -torch.inf
            values, places = block_topk(scores, min(k, scores.size(1)))
            found = _merged(found, Best(places + start, values), k)
        assert found is not None
        return Best(found.items.masked_fill(found.scores == -torch.inf, -1), found.scores)


def _joined(parts: Sequence[Best]) -> Best:
    return Best(torch.cat([part.items for part in parts]), torch.cat([part.scores for part in parts]))


def _merged(found: Best | None, more: Best, k: int) -> Best:
    if found is None:
        return more
    scores, items = torch.cat([found.scores, more.scores], dim=1), torch.cat([found.items, more.items], dim=1)
    best = scores.topk(min(k, scores.size(1)), dim=1)
    return Best(items.gather(1, best.indices), best.values)
