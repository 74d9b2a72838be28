"""IR-RRD's lists."""

from __future__ import annotations

import torch

from recsys.models.rankings import top_items, top_users
from recsys.sources import IRRRDLists, RRDLists
from tests.recsys.laws import as_sets
from tests.recsys.sources.drawing import batch_of


def test_item_side(pairs, teacher):
    top, flipped = top_users(teacher, pairs, 8), pairs.transpose()
    users = RRDLists(top_items(teacher, pairs, 10), pairs, k=2, l=2)
    items = RRDLists(top, flipped, k=3, l=4)
    batch = batch_of(pairs, IRRRDLists(users, items))
    listed = torch.cat([batch["interesting"].items.flatten(), batch["uninteresting"].items.flatten()]).unique()
    taken = as_sets(flipped)
    for name, width in (("interesting_users", 3), ("uninteresting_users", 4)):
        assert torch.equal(batch[name].items, listed)
        assert batch[name].users.shape == (len(listed), width)
    for item, row in zip(listed.tolist(), batch["uninteresting_users"].users.tolist(), strict=True):
        assert not set(row) & (taken[item] | set(top[item].tolist()))
    some = batch_of(pairs, IRRRDLists(users, items, max_items=5))["interesting_users"].items
    assert len(some) == len(set(some.tolist())) == 5
