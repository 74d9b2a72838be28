"""Ranking all items after histories, by hand, and what is left out."""

from __future__ import annotations

import math

import pytest
import torch

from recsys.data import Sequences, SequenceSplit
from recsys.evaluate import next_item_ranking
from recsys.models.sequential import SequentialRecommender
from tests.recsys.toy_sequences import chain_split


class Given(SequentialRecommender):
    """The same scores after every history."""

    def __init__(self, scores):
        super().__init__(len(scores), 50)
        self.register_buffer("scores", torch.as_tensor(scores, dtype=torch.float64))

    def last(self, sequences, lengths, owners=None):
        return torch.ones(len(lengths), 1, dtype=torch.float64)

    def items(self):
        return self.scores[:, None]


def by_hand(scores, rows, seen, k):
    """hit and ndcg with loops; equals stand before the target."""
    hits, gains = 0.0, 0.0
    for row, target in enumerate(rows.targets.tolist()):
        gone = set(rows.seen(torch.tensor([row]))[1].tolist()) if seen == "left_out" else set()
        others = [item for item in range(1, len(scores)) if item != target and item not in gone]
        place = sum(scores[item] >= scores[target] for item in others)
        hits += place < k
        gains += (place < k) / math.log2(place + 2)
    return {f"hit@{k}": hits / len(rows), f"ndcg@{k}": gains / len(rows)}


@pytest.mark.parametrize("seen", ["ranked", "left_out"])
@pytest.mark.parametrize("seed", [0, 1])
def test_by_hand(seen, seed):
    split = chain_split(seed=seed)
    scores = torch.randint(7, (split.num_items,), generator=torch.Generator().manual_seed(seed)).tolist()
    scores[0] = 99
    for rows in (split.valid, split.test):
        found = next_item_ranking(Given(scores), rows, ("hit@5", "ndcg@5"), seen=seen, block_rows=7)
        assert found == pytest.approx(by_hand(scores, rows, seen, 5))


def test_a_target_that_was_taken_before_is_ranked():
    split = SequenceSplit.leave_one_out(Sequences.from_events([1] * 4, [1, 2, 3, 1]), 5)
    model = Given([0.0, 5.0, 9.0, 8.0])
    assert next_item_ranking(model, split.test, ("mrr@3",)) == pytest.approx({"mrr@3": 1 / 3})
    assert next_item_ranking(model, split.test, ("mrr@3",), seen="left_out") == {"mrr@3": 1.0}


def test_other_metrics_and_recboles_ties():
    split = chain_split()
    scores = torch.rand(split.num_items, generator=torch.Generator().manual_seed(0)).tolist()
    one = next_item_ranking(Given(scores), split.test, ("hit@5", "ndcg@5"))
    other = next_item_ranking(Given(scores), split.test, ("hit@5", "ndcg@5", "gauc", "itemcoverage@5"))
    assert {name: other[name] for name in one} == pytest.approx(one)
    assert other["itemcoverage@5"] == pytest.approx(5 / split.num_items)
    assert next_item_ranking(Given(scores), split.test, ("hit@5", "ndcg@5"), ties="sorted") == pytest.approx(one)


def test_a_model_keeps_its_mode_and_wrong_scores_are_refused():
    split = chain_split()
    model = Given([float("nan")] * split.num_items).train()
    with pytest.raises(ValueError, match="finite scores"):
        next_item_ranking(model, split.test)
    assert model.training
    with pytest.raises(ValueError, match="'seen' must be"):
        next_item_ranking(model, split.test, seen="all")
    none = SequenceSplit.leave_one_out(Sequences.from_events([1, 1], [1, 2]), 3).test
    with pytest.raises(ValueError, match="one row to rank for"):
        next_item_ranking(Given([0.0, 1.0, 2.0]), none)
