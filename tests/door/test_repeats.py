"""Pairs that repeat: in training, in what was seen, and in what is to be found."""

import pytest
import torch

from recsys import Split, bridge
from recsys.data.batches import RankingBatches
from recsys.evaluate import full_ranking, leave_one_out
from recsys.models import Tables
from recsys.tasks import Ranking
from tests.door.rankings import NAMES, Given, by_recbole, pairs
from tests.recsys.laws import toy

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:recbole")  # of torch, about RecBole's own code

NAN, INF = float("nan"), float("inf")


class TestPairsThatRepeat:
    ideal = Tables(torch.eye(3, 4), torch.eye(4))  # user u scores item u highest

    def test_what_is_bought_again_can_be_found(self):
        train, test = pairs([0, 1, 2], [0, 3, 3]), pairs([0, 1, 2], [0, 1, 2])
        assert full_ranking(self.ideal, test, train, ["recall@1"]) == {"recall@1": 1.0}

    def test_so_can_a_validation_pair_that_comes_back_in_the_test(self):
        train, valid, test = pairs([0, 1, 2], [3, 3, 3]), pairs([0, 1], [0, 0]), pairs([0, 1, 2], [0, 1, 2])
        split = Split(train, valid, test)
        assert Ranking(metrics=("recall@1",)).score(self.ideal, split) == {"recall@1": 1.0}

    def test_other_seen_items_stay_out(self):
        train, test = pairs([0, 0], [0, 1], 1), pairs([0], [1], 1)
        scores = torch.tensor([[4.0, 3.0, 2.0, 1.0]])  # item 0 is seen, item 1 seen and bought again
        assert full_ranking(Given(scores), test, train, ["hit@1", "ndcg@1"]) == {"hit@1": 1.0, "ndcg@1": 1.0}

    @pytest.mark.parametrize(
        "how",
        [
            {"split": {"RS": [0.7, 0.1, 0.2]}, "order": "RO", "group_by": "user"},
            {"split": {"RS": [0.7, 0.1, 0.2]}, "order": "TO", "group_by": "user"},
            {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user"},
            {"split": {"RS": [0.7, 0.1, 0.2]}, "order": "RO", "group_by": None},
        ],
    )
    @pytest.mark.parametrize("phase", ["valid", "test"])
    def test_values_are_recboles_on_a_log_with_repeats(self, log_with_repeats, how, phase):
        options = {"data_path": str(log_with_repeats), "eval_args": {**how, "mode": "full"}}
        options["load_col"] = {"inter": ["user_id", "item_id", "timestamp"]}
        data = bridge.load("shop", options=options)
        split = data.split
        seen = (split.train,) if phase == "valid" else (split.train, split.valid)
        relevant = getattr(split, phase)
        assert sum(int(each.contains(*relevant.pairs()).sum()) for each in seen) >= 10  # so that repeats matter
        torch.manual_seed(1)
        model = bridge.recommender(data, "BPR", {"embedding_size": 8})
        found, wanted = full_ranking(model, relevant, seen, NAMES), by_recbole(data, model, phase)
        for name in NAMES:
            assert found[name] == pytest.approx(wanted[name], abs=1e-11), name

    def test_leave_one_out_finds_a_target_that_is_known_or_removed(self):
        model = Tables(torch.eye(3, 6), torch.eye(6))
        targets, candidates = torch.tensor([0, 1, 2]), torch.tensor([[3, 4, 5]] * 3)
        assert leave_one_out(model, targets, candidates, removed=targets, cutoffs=(1,))["hit@1"] == 1.0
        assert leave_one_out(model, targets, torch.tensor([[0, 1, 2]] * 3), cutoffs=(1,))["hit@1"] == 1.0

    def test_the_item_that_is_held_out_twice_is_ranked(self):
        train = toy(20, 600, 100)
        held = pairs(list(range(20)), list(range(20)), 20, 600)
        model = Tables(torch.eye(20, 600), torch.eye(600))
        found = Ranking(protocol="leave_one_out").score(model, Split(train, held, held))
        assert found["hit@5"] == 1.0

    def test_bpr_sees_a_pair_as_often_as_it_was_taken(self):
        repeated = pairs([0, 0, 0, 1], [2, 2, 2, 3])
        seen = torch.cat([batch["positives"] for batch in RankingBatches(repeated, batch_size=3)])
        assert sorted(seen.tolist()) == [2, 2, 2, 3]
        assert len(RankingBatches(repeated, batch_size=3)) == 2
