"""RD's lists."""

from __future__ import annotations

import pytest
import torch

from recsys.models.rankings import top_items
from recsys.sources import RDLists
from tests.recsys.laws import as_sets
from tests.recsys.sources.drawing import batch_of


class TestRD:
    def test_lists(self, pairs, teacher):
        top, taken = top_items(teacher, pairs, 8), as_sets(pairs)
        batch = batch_of(pairs, RDLists(top, pairs, k=5, samples=7))
        assert torch.equal(batch["top"].users, batch["users"])
        assert torch.equal(batch["top"].items, top[batch["users"], :5].long())  # training items are not in it anyway
        assert batch["sampled"].items.shape == (50, 7)
        for user, items in zip(batch["users"].tolist(), batch["sampled"].items.tolist(), strict=True):
            assert not set(items) & taken[user]

    def test_the_own_positive_is_left_out(self, pairs, teacher):
        top = top_items(teacher, None, 40)  # training items included, as the authors have it
        source = RDLists(top, pairs, k=30, samples=0)
        batch = batch_of(pairs, source)
        assert "sampled" not in batch
        assert (top[batch["users"], :30] == batch["positives"][:, None]).any()
        for row, positive in enumerate(batch["positives"].tolist()):
            expected = [item for item in top[batch["users"][row]].tolist() if item != positive][:30]
            assert batch["top"].items[row].tolist() == expected

    def test_samples_are_redrawn_for_every_row(self, pairs, teacher):
        source = RDLists(top_items(teacher, pairs, 8), pairs, k=5, samples=7)
        users = torch.tensor([3, 3])
        batch = {"users": users, "positives": users}
        assert not torch.equal(*source.lists(batch)["sampled"].items)

    def test_short_tables(self, pairs, teacher):
        with pytest.raises(ValueError, match=r"'top' must list at least k \+ 1 = 9 items, got 8"):
            RDLists(top_items(teacher, pairs, 8), pairs, k=8)
