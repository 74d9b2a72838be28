"""What the tests of all sources do: draw for a batch, and look up where items stand."""

from __future__ import annotations

import torch

from recsys.data.batches import RankingBatches


def batch_of(pairs, source, seed=1):
    torch.manual_seed(seed)
    return next(iter(RankingBatches(pairs, batch_size=50, sources={"source": source})))


def places(table, lists):
    """Position of every listed id in its row's table, which must hold it."""
    rows = table[lists.users].long()
    found = rows[:, None, :] == lists.items[:, :, None]
    assert found.any(dim=2).all()
    return found.long().argmax(dim=2)
