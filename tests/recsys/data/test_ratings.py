"""KDCRec's batches."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from recsys.data.ratings import BlockBatches, PairBatches, dense
from tests.recsys.toy_ratings import ITEMS, USERS, ratings


class TestPairBatches:
    def test_union(self):
        logged, uniform = ratings(30), ratings(10, seed=1)
        torch.manual_seed(0)
        batches = list(PairBatches(logged, uniform, batch_size=8))
        joined = {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}
        assert len(batches) == len(PairBatches(logged, uniform, batch_size=8)) == 5
        assert torch.equal(joined["entries"].sort().values, torch.arange(40))
        assert torch.equal(joined["logged"], joined["entries"] < 30)
        assert torch.equal(joined["users"], torch.cat([logged.users, uniform.users])[joined["entries"]])
        assert torch.equal(joined["ratings"], torch.cat([logged.values, uniform.values])[joined["entries"]])

    def test_copies_are_further_items(self):
        (batch,) = PairBatches(ratings(30), ratings(10, seed=1), how="copies", num_items=ITEMS)
        assert torch.equal(batch["items"] >= ITEMS, ~batch["logged"])

    def test_delay_puts_uniform_batches_in_between(self):
        logged, uniform = ratings(30), ratings(10, seed=1)
        batches = PairBatches(logged, uniform, how="delay", step=2, batch_size=8)
        epoch = list(batches)
        assert ["logged" in batch for batch in epoch] == [False, True, True, False, True, True]
        assert len(batches) == 6
        of = Counter(zip(uniform.users.tolist(), uniform.items.tolist(), strict=True))
        drawn = Counter(zip(epoch[0]["users"].tolist(), epoch[0]["items"].tolist(), strict=True))
        assert sum(drawn.values()) == 8
        assert drawn <= of

    def test_random_pairs(self):
        torch.manual_seed(0)
        batches = list(PairBatches(ratings(100), batch_size=50, random=(USERS, ITEMS)))
        users = torch.cat([batch["random_users"] for batch in batches])
        assert len(users) == 100
        assert set(users.tolist()) == set(range(USERS))
        assert set(torch.cat([batch["random_items"] for batch in batches]).tolist()) == set(range(ITEMS))

    def test_unknown_ways(self):
        with pytest.raises(ValueError, match=r"'how' must be one of .*, got 'both'"):
            PairBatches(ratings(3), how="both")


class TestBlockBatches:
    def test_union(self):
        logged, uniform = dense(ratings(60), USERS, ITEMS), dense(ratings(20, seed=1), USERS, ITEMS)
        batches = list(BlockBatches(logged, uniform, batch_size=5))
        users = torch.cat([batch["entries"] for batch in batches])
        assert torch.equal(users.sort().values, torch.arange(USERS))
        for batch in batches:
            few = uniform[batch["entries"]]
            assert torch.equal(batch["ratings"], torch.where(few != 0, few, logged[batch["entries"]]))
            assert torch.equal(batch["logged"], (batch["ratings"] != 0) & (few == 0))

    def test_delay_takes_whole_epochs(self):
        logged, uniform = dense(ratings(60), USERS, ITEMS), dense(ratings(20, seed=1), USERS, ITEMS)
        batches, counts = BlockBatches(logged, uniform, how="delay", step=3), []
        for epoch in range(4):
            batches.set_epoch(epoch, 4)
            counts.append(int(sum((batch["ratings"] != 0).sum() for batch in batches)))
        assert counts == [20, 60, 60, 20]

    def test_coins_are_fair_and_redrawn(self):
        batches = BlockBatches(torch.zeros(400, 50), sampled=True, batch_size=400)
        torch.manual_seed(0)
        one, other = (next(iter(batches))["sampled"] for _ in range(2))
        assert float(one.mean()) == pytest.approx(0.5, abs=0.02)
        assert not torch.equal(one, other)
