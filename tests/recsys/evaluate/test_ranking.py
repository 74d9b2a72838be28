"""Evaluation: the golden protocols, a slow ranking by hand, and what must be refused."""

from __future__ import annotations

import math

import pytest
import torch

from recsys import Interactions
from recsys.evaluate import METRICS, draw_candidates, full_ranking, held_out, leave_one_out
from recsys.models import MF, Tables
from tests.recsys.laws import Pairwise, as_sets, golden, toy


@pytest.mark.parametrize("side", ["test", "valid"])
@pytest.mark.parametrize("block", [3, 512])
def test_golden_leave_one_out(side, block):
    case = golden("eval_loo")
    other = {"test": "valid", "valid": "test"}[side]
    values = leave_one_out(
        Tables(case["student_user_embeddings"], case["student_item_embeddings"]),
        case[f"{side}_items"],
        case["candidate_items"],
        removed=case[f"{other}_items"],
        block_users=block,
    )
    for kind, letter in (("hit", "H"), ("ndcg", "N"), ("mrr", "M")):
        for n in (5, 10, 20):
            assert values[f"{kind}@{n}"] == pytest.approx(float(case[f"{side}_{letter}{n}"]), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("side", ["test", "valid"])
@pytest.mark.parametrize("block", [3, 512])
def test_golden_full_ranking(side, block):
    case = golden("eval_full")
    sides = {
        name: Interactions.from_pairs(*case[f"{name}_pairs"].T.contiguous(), 8, 90)
        for name in ("train", "valid", "test")
    }
    relevant = sides.pop(side)
    kinds = {"recall": "R", "ndcg": "N", "capped_recall": "P"}
    values = full_ranking(
        Tables(case["student_user_embeddings"], case["student_item_embeddings"]),
        relevant,
        list(sides.values()),
        [f"{kind}@{n}" for kind in kinds for n in (10, 20, 50)],
        block_users=block,
    )
    for kind, letter in kinds.items():
        for n in (10, 20, 50):
            assert values[f"{kind}@{n}"] == pytest.approx(float(case[f"{side}_{letter}{n}"]), rel=1e-9, abs=1e-12)


def by_hand(scores, relevant, seen, k, padding):
    """Mean metrics from a full sort of every user."""
    rows = {name: [] for name in METRICS}
    for user, wanted in enumerate(relevant):
        if not wanted:
            continue
        banned = seen[user] | ({0} if padding else set())
        ranked = [item for item in scores[user].argsort(descending=True).tolist() if item not in banned][:k]
        hits = [item in wanted for item in ranked]
        places = [place for place, hit in enumerate(hits) if hit]
        ideal = sum(1 / math.log2(place + 2) for place in range(min(k, len(wanted))))
        rows["recall"].append(sum(hits) / len(wanted))
        rows["precision"].append(sum(hits) / k)
        rows["capped_recall"].append(sum(hits) / min(k, len(wanted)))
        rows["hit"].append(float(any(hits)))
        rows["mrr"].append(1 / (places[0] + 1) if places else 0.0)
        rows["ndcg"].append(sum(1 / math.log2(place + 2) for place in places) / ideal)
        precisions = [(number + 1) / (place + 1) for number, place in enumerate(places)]
        rows["map"].append(sum(precisions) / min(k, len(wanted)))
    return {name: sum(values) / len(values) for name, values in rows.items()}


@pytest.mark.parametrize("padding", [False, True])
@pytest.mark.parametrize("k", [1, 5, 39, 60])
def test_full_ranking_by_hand(padding, k):
    torch.manual_seed(0)
    model = MF(30, 40, 4, std=1.0)
    seen, relevant = toy(padding=padding), toy(pairs=90, seed=3, padding=padding)
    users, items = relevant.pairs()
    new = ~seen.contains(users, items)
    relevant = Interactions.from_pairs(users[new], items[new], 30, 40, padding=padding)
    values = full_ranking(model, relevant, seen, [f"{name}@{k}" for name in METRICS], block_users=7)
    user, item = model.tables()
    expected = by_hand(user @ item.T, as_sets(relevant), as_sets(seen), k, padding)
    for name in METRICS:
        assert values[f"{name}@{k}"] == pytest.approx(expected[name], rel=1e-9), name


def test_several_cutoffs_at_once():
    torch.manual_seed(0)
    model, seen, relevant = MF(30, 40, 4, std=1.0), toy(), toy(seed=3)
    names = ["recall@3", "recall@10", "ndcg@7"]
    values = full_ranking(model, relevant, seen, names)
    assert list(values) == names
    for name in names:
        assert full_ranking(model, relevant, seen, [name])[name] == pytest.approx(values[name], rel=1e-12)


def test_a_model_without_tables_is_put_into_eval_mode_and_back():
    model = Pairwise().train()
    one, other = (full_ranking(model, toy(6, 9, 6), toy(6, 9, 6, seed=1), ["ndcg@3"]) for _ in range(2))
    assert one == other  # its dropout was off
    assert model.training
    targets = torch.tensor([0, 1, 2, -1, 4, 5])
    candidates = torch.tensor([[6, 7, 8]] * 6)
    assert leave_one_out(model, targets, candidates) == leave_one_out(model, targets, candidates)


def test_evaluation_leaves_the_default_type_alone():
    full_ranking(MF(30, 40, 4), toy(seed=3), toy())
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize("name", ["recalling@10", "recall", "recall@", "recall@0", "ndcg@x"])
def test_unknown_metrics_are_named(name):
    with pytest.raises(ValueError, match=rf"'metrics' must be some of \['recall', .* as 'recall@10', got '{name}'"):
        full_ranking(MF(30, 40, 4), toy(seed=3), toy(), [name])


def test_other_sizes_are_named():
    with pytest.raises(ValueError, match="'seen' must be over 30 users × 40 items, got 30 users × 41 items"):
        full_ranking(MF(30, 40, 4), toy(seed=3), toy(num_items=41))
    with pytest.raises(ValueError, match="'model' must score 30 users × 40 items, got 31 × 40"):
        full_ranking(MF(31, 40, 4), toy(seed=3), toy())
    with pytest.raises(ValueError, match="'relevant' must hold at least one pair"):
        full_ranking(MF(3, 4, 2), toy(3, 4, 0), toy(3, 4, 2))


class TestLeaveOneOut:
    def test_ties_count_against_the_target(self):
        model = Tables(torch.ones(2, 1), torch.ones(30, 1))
        values = leave_one_out(model, torch.tensor([0, 1]), torch.arange(2, 27).expand(2, -1))
        assert set(values.values()) == {0.0}

    def test_users_without_a_target_do_not_count(self):
        model = Tables(torch.ones(3, 1), torch.arange(30.0)[:, None])
        values = leave_one_out(model, torch.tensor([29, -1, 28]), torch.arange(20).expand(3, -1), cutoffs=[1])
        assert values == {"hit@1": 1.0, "ndcg@1": 1.0, "mrr@1": 1.0}
        with pytest.raises(ValueError, match="'targets' must hold at least one item"):
            leave_one_out(model, torch.tensor([-1, -1, -1]), torch.arange(20).expand(3, -1))

    def test_candidates_are_new_distinct_and_fixed(self):
        known = toy()
        state = torch.get_rng_state()
        candidates = draw_candidates(known, 15, seed=4)
        assert torch.equal(state, torch.get_rng_state())
        assert torch.equal(candidates, draw_candidates(known, 15, seed=4))
        assert not torch.equal(candidates, draw_candidates(known, 15, seed=5))
        assert not known.contains(torch.arange(30)[:, None], candidates).any()
        assert (candidates.diff(dim=1) > 0).all()

    def test_held_out(self):
        pairs = Interactions.from_pairs(torch.tensor([2, 0]), torch.tensor([3, 1]), 4, 5)
        assert held_out(pairs).tolist() == [1, -1, 3, -1]
        with pytest.raises(ValueError, match="'pairs' must hold one item a user, user 0 has more"):
            held_out(Interactions.from_pairs(torch.tensor([0, 0]), torch.tensor([3, 1]), 4, 5))
