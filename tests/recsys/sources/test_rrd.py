"""RRD's lists."""

from __future__ import annotations

import pytest
import torch

from recsys.models.rankings import top_items
from recsys.sources import RRDLists
from tests.recsys.laws import as_sets
from tests.recsys.sources.drawing import batch_of, places


class TestRRD:
    def test_lists(self, pairs, teacher):
        top, taken = top_items(teacher, pairs, 10), as_sets(pairs)
        source = RRDLists(top, pairs, k=4, l=6, scale=3.0)
        batch = batch_of(pairs, source)
        assert torch.equal(batch["interesting"].users, batch["unique_users"])
        assert (places(top, batch["interesting"]).diff(dim=1) > 0).all()  # the teacher's order
        for user, items in zip(*(each.tolist() for each in batch["uninteresting"]), strict=True):
            assert len(set(items)) == 6
            assert not set(items) & (taken[user] | set(top[user].tolist()))
            assert not pairs.padding or 0 not in items
        again = batch_of(pairs, source, seed=2)
        for name in ("interesting", "uninteresting"):
            assert not torch.equal(source.of(torch.arange(1, 30))[0], batch[name].items[:0])
            assert again[name].items.shape[1] == batch[name].items.shape[1]

    def test_without_sampling(self, pairs, teacher):
        top = top_items(teacher, pairs, 10)
        batch = batch_of(pairs, RRDLists(top, pairs, k=4, l=6, sample=False, names=("a", "b")))
        assert torch.equal(batch["a"].items, top[batch["unique_users"], :4].long())

    def test_all_epochs_differ(self, pairs, teacher):
        source = RRDLists(top_items(teacher, pairs, 10), pairs, k=4, l=6)
        torch.manual_seed(0)
        drawn = []
        for _ in range(2):
            source.resample()
            drawn.append(source.of(torch.arange(1, 30)))
        assert not torch.equal(drawn[0][0], drawn[1][0])
        assert not torch.equal(drawn[0][1], drawn[1][1])

    def test_bad_arguments(self, pairs, teacher):
        with pytest.raises(ValueError, match="'k' must be from 1 to 10, the length of 'top', got 11"):
            RRDLists(top_items(teacher, pairs, 10), pairs, k=11)
