"""Recall of a compressed form of tables: the share of the exact best lists that it still finds."""

from __future__ import annotations

import torch

from recsys.data.interactions import Interactions
from recsys.models.tables import Tables
from recsys.retrieve import Retriever

_MOST = 1000  # users that are evaluated, spread evenly


def recall_of(small: Tables, tables: Tables, seen: Interactions | None, k: int = 20) -> dict[str, float]:
    """Compute the share of the best k items that a compressed form has in its own best k, and the number of users.

    Both leave out seen pairs. Every user's list has equal weight; a list shorter than k counts by its own length. At
    most 1,000 users, spread evenly over all. O(U I d).
    """
    first, count = int(tables.padding), tables.num_users - int(tables.padding)
    users = first + torch.arange(min(count, _MOST)) * max(count, 1) // max(min(count, _MOST), 1)
    k = min(k, tables.num_items)
    exact, found = (Retriever(each, seen).users(users, k).items for each in (tables, small))
    wanted = exact >= 0
    kept = (exact[:, :, None] == found[:, None, :]).any(dim=2) & wanted
    lengths = wanted.sum(dim=1)
    shares = kept.sum(dim=1)[lengths > 0] / lengths[lengths > 0]
    return {f"recall@{k}": round(float(shares.double().mean()), 4), "users": int((lengths > 0).sum())}
