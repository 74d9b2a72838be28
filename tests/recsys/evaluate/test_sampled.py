"""Drawn candidates: their law, RecBole's very draws, how they are counted, and predictions of labels."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from recsys import Interactions
from recsys.data.labelled import LabelledRows, LabelledSplit
from recsys.evaluate import Candidates, drawn_candidates, prediction_values, sampled_ranking
from recsys.models import MF, Tables
from recsys.tasks import Ranking
from tests.recsys.laws import Pairwise, as_sets, assert_law, toy

PAIRS = Interactions.from_pairs([1, 1, 2, 4], [3, 3, 5, 1], 5, 8, padding=True)  # user 1's came twice
KNOWN = Interactions.from_pairs([1, 1, 2, 2, 4], [3, 7, 5, 6, 1], 5, 8, padding=True)


def outside(user):
    return [item for item in range(1, 8) if item not in as_sets(KNOWN)[user]]


class TestDraws:
    def test_as_many_for_each_event_by_user_the_held_out_first(self):
        found = drawn_candidates(PAIRS, KNOWN, "uni5")
        assert found.users.tolist() == [1] * 12 + [2] * 6 + [4] * 6
        assert found.items[found.positive].tolist() == [3, 3, 5, 1]
        assert found.positive.nonzero().flatten().tolist() == [0, 1, 12, 18]
        assert all(item in outside(user) for user, item in zip(*negatives(found), strict=True))

    def test_uniform_draws_are_recboles(self):
        """Its sampler in the order of its loader, from numpy's generator."""
        np.random.seed(3)  # noqa: NPY002
        wanted = []
        for user, number in ((1, 10), (2, 5), (4, 5)):
            values = np.random.randint(1, 8, number)  # noqa: NPY002
            used = np.array(sorted(as_sets(KNOWN)[user]))
            again = np.arange(number)[np.isin(values, used)]
            while len(again):
                values[again] = new = np.random.randint(1, 8, len(again))  # noqa: NPY002
                again = again[np.isin(new, used)]
            wanted += values.tolist()
        assert negatives(drawn_candidates(PAIRS, KNOWN, "uni5", seed=3))[1] == wanted

    @pytest.mark.parametrize("mode", ["uni9000", "pop9000"])
    def test_law(self, mode):
        weights = torch.tensor([9.0, 1, 2, 3, 0, 5, 6, 7])
        found = drawn_candidates(PAIRS, KNOWN, mode, popularity=weights)
        users, items = map(torch.tensor, negatives(found))
        for user in (1, 2, 4):
            law = torch.zeros(8)
            law[outside(user)] = weights[outside(user)] if mode.startswith("pop") else 1.0
            assert_law(torch.bincount(items[users == user], minlength=8), law)

    @pytest.mark.parametrize("mode", ["uni9000", "pop9000"])
    def test_law_where_items_may_come_again(self, mode):
        weights = torch.tensor([9.0, 1, 2, 3, 0, 5, 6, 7])
        users, items = map(torch.tensor, negatives(drawn_candidates(PAIRS, None, mode, popularity=weights)))
        law = weights.clone() if mode.startswith("pop") else torch.ones(8)
        law[[0, 5]] = 0  # padding, and the item of user 2's event
        assert_law(torch.bincount(items[users == 2], minlength=8), law)

    def test_numpys_own_generator_draws_anew(self):
        np.random.seed(3)  # noqa: NPY002
        one, other = (drawn_candidates(PAIRS, KNOWN, "uni50", seed=None).items for _ in range(2))
        assert not torch.equal(one, other)
        assert torch.equal(one, drawn_candidates(PAIRS, KNOWN, "uni50", seed=3).items)

    def test_nothing_left(self):
        full = Interactions.from_pairs([1] * 7, range(1, 8), 5, 8, padding=True)
        with pytest.raises(ValueError, match="user 1 has all items that could be drawn"):
            drawn_candidates(PAIRS, full, "uni5")
        with pytest.raises(ValueError, match="user 2 has all items that could be drawn"):
            drawn_candidates(PAIRS, KNOWN, "pop5", popularity=torch.tensor([0.0, 0, 0, 0, 0, 1, 1, 0]))
        with pytest.raises(ValueError, match="user 1 has no other item that could be drawn"):
            drawn_candidates(PAIRS, None, "pop5", popularity=torch.tensor([0.0, 0, 0, 1, 0, 0, 0, 0]))

    @pytest.mark.parametrize(
        "weights", [None, torch.ones(3), -torch.ones(8), torch.zeros(8), torch.full((8,), math.nan)]
    )
    def test_weights_that_are_none(self, weights):
        with pytest.raises(ValueError, match="'popularity' must be"):
            drawn_candidates(PAIRS, KNOWN, "pop5", popularity=weights)

    @pytest.mark.parametrize("mode", ["uni", "uni0", "pop-1", "top5", "full"])
    def test_modes_that_are_none(self, mode):
        with pytest.raises(ValueError, match="'mode' must be 'uniN' or 'popN' with a number, as 'uni100'"):
            drawn_candidates(PAIRS, KNOWN, mode)


def negatives(found):
    return found.users[~found.positive].tolist(), found.items[~found.positive].tolist()


class TestRanking:
    def test_by_hand(self):
        torch.manual_seed(0)
        model, relevant, known = Pairwise(30, 40), toy(pairs=60, seed=3), toy().union(toy(pairs=60, seed=3))
        drawn = drawn_candidates(relevant, known, "uni6")
        recall, area, weight = [], 0.0, 0
        with torch.no_grad():
            scores = model.eval().score(drawn.users, drawn.items)
        for user in drawn.users.unique().tolist():
            mine = drawn.users == user
            held = {
                int(i): float(s)
                for i, s in zip(drawn.items[mine & drawn.positive], scores[mine & drawn.positive], strict=True)
            }
            rest = {
                int(i): float(s)
                for i, s in zip(drawn.items[mine & ~drawn.positive], scores[mine & ~drawn.positive], strict=True)
            }
            top = sorted([*held.values(), *rest.values()], reverse=True)[:3]
            recall.append(sum(value in top for value in held.values()) / len(held))
            area += sum(one > other for one in held.values() for other in rest.values()) / len(rest)
            weight += len(held)
        found = sampled_ranking(model, drawn, ["Recall@3", "gauc"], block_users=4)
        assert found["recall@3"] == pytest.approx(sum(recall) / len(recall))
        assert found["gauc"] == pytest.approx(area / weight)

    def test_short_lists_do_not_hit_more(self):
        model = Tables(torch.eye(3, 4), torch.eye(4))
        drawn = Candidates(torch.tensor([0, 0]), torch.tensor([0, 2]), torch.tensor([True, False]))
        assert sampled_ranking(model, drawn, ["precision@4", "hit@1"]) == {"precision@4": 0.25, "hit@1": 1.0}

    def test_a_user_with_nothing_to_find(self):
        drawn = Candidates(torch.tensor([0, 0, 2]), torch.tensor([0, 2, 1]), torch.tensor([True, False, False]))
        with pytest.raises(ValueError, match="must have a held-out item to find, user 2 has none"):
            sampled_ranking(Tables(torch.eye(3, 4), torch.eye(4)), drawn, ["hit@1"])

    def test_scores_that_are_no_numbers(self):
        model = Tables(torch.full((3, 4), math.nan), torch.eye(4))
        drawn = Candidates(torch.tensor([0, 0]), torch.tensor([0, 2]), torch.tensor([True, False]))
        with pytest.raises(ValueError, match="'model' must give finite scores"):
            sampled_ranking(model, drawn, ["hit@1"])


class TestValues:
    def test_by_hand(self):
        predictions, labels = torch.tensor([0.9, 0.2, 0.6, 0.6]), torch.tensor([1.0, 0.0, 1.0, 0.0])
        found = prediction_values(predictions, labels, ["AUC", "LogLoss", "MAE", "RMSE"])
        assert found["auc"] == 3.5 / 4
        logs = math.log(0.9) + math.log(0.8) + math.log(0.6) + math.log(0.4)
        assert found["logloss"] == pytest.approx(-logs / 4, rel=1e-6)
        assert found["mae"] == pytest.approx((0.1 + 0.2 + 0.4 + 0.6) / 4, rel=1e-6)
        assert found["rmse"] == pytest.approx(math.sqrt((0.01 + 0.04 + 0.16 + 0.36) / 4), rel=1e-6)

    def test_probabilities_are_kept_from_0_and_1(self):
        found = prediction_values(torch.tensor([-3.0, 2.0], dtype=torch.float64), torch.tensor([1.0, 0.0]), "logloss")
        assert found["logloss"] == pytest.approx(-(math.log(1e-15) + math.log(1 - (1 - 1e-15))) / 2)

    @pytest.mark.parametrize(
        ("predictions", "labels", "metrics", "message"),
        [
            ([0.5], [1.0], ["auk"], r"'metrics' must be some of \['auc', .* got \['auk'\]"),
            ([0.5], [1.0], [], "got none"),
            ([0.5, 0.5], [1.0], ["mae"], r"must be \(n,\), of at least one row"),
            ([], [], ["mae"], "of at least one row"),
            ([math.nan], [1.0], ["mae"], "'predictions' must be finite"),
            ([0.5], [math.inf], ["mae"], "'labels' must be finite"),
            ([0.5], [1.0], ["auc"], "must hold both clicks and others"),
        ],
    )
    def test_refused(self, predictions, labels, metrics, message):
        with pytest.raises(ValueError, match=message):
            prediction_values(torch.tensor(predictions), torch.tensor(labels), metrics)


class TestTask:
    @pytest.fixture
    def split(self):
        rows = LabelledRows(torch.tensor([0, 1, 1]), torch.tensor([2, 3, 3]), torch.tensor([1.0, 0.0, 1.0]))
        return LabelledSplit(toy(), toy(pairs=40, seed=1), toy(pairs=40, seed=2), test_rows=rows)

    def test_a_way_for_each_part(self, split):
        task = Ranking(metrics=("NDCG@3",), protocol={"valid": "uni9", "test": "full"})
        model = MF(30, 40, 4, std=1.0)
        whole = Ranking(metrics=("ndcg@3",))
        assert task.score(model, split) == whole.score(model, split)
        assert task.score(model, split, "val") == task.score(model, split, "val") != whole.score(model, split, "val")
        drawn = drawn_candidates(split.valid, split.train.union(split.valid), "uni9")
        assert task.score(model, split, "val") == sampled_ranking(model, drawn, ["ndcg@3"])

    def test_tests_are_drawn_outside_of_all_that_is_known(self, split):
        task, model = Ranking(metrics=("hit@1",), protocol="pop3", seed=4), MF(30, 40, 4, std=1.0)
        everything = split.train.union(split.valid, split.test)
        popularity = torch.bincount(everything.events()[1], minlength=40)
        drawn = drawn_candidates(split.test, everything, "pop3", popularity=popularity, seed=4)
        assert task.score(model, split) == sampled_ranking(model, drawn, ["hit@1"])

    def test_labelled_rows(self, split):
        model = MF(30, 40, 4, std=1.0)
        found = Ranking(protocol="labeled", digits=3).score(model, split)
        rows = split.test_rows
        wanted = prediction_values(model.score(rows.users, rows.items), rows.labels, ["auc", "logloss"])
        assert found == {name: round(value, 3) for name, value in wanted.items()}
        with pytest.raises(ValueError, match="'labeled' measures rows with labels, and the split has none"):
            Ranking(protocol="labeled").score(model, split, "val")

    def test_less_is_better(self, split):
        task, model = Ranking(metrics=("logloss", "auc"), protocol="uni3"), MF(30, 40, 4, std=0.1)
        assert task.progress(model, split) == {"-logloss": -task.score(model, split, "val")["logloss"]}

    def test_values_of_drawn_candidates_count_repeats(self, split):
        model = MF(30, 40, 4, std=0.1)
        drawn = drawn_candidates(split.valid, split.train.union(split.valid), "uni30")
        wanted = prediction_values(model.score(drawn.users, drawn.items), drawn.positive.double(), ["mae"])
        assert Ranking(metrics=("MAE",), protocol="uni30").score(model, split, "val") == wanted

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"protocol": "uni"}, "'protocol' must be 'full', .* as 'uni100', got 'uni'"),
            ({"protocol": {"val": "full"}}, "'protocol' must be one for all, or of 'valid' and of 'test'"),
            ({"metrics": ("auc",)}, r"\['auc'\] are of labels: give 'uniN', 'popN' or 'labeled', got 'full'"),
            ({"metrics": ("auc", "ndcg@3"), "protocol": "uni3"}, "must be of rankings or of values, got both"),
            ({"metrics": ("ndcg@3",), "protocol": "labeled"}, "'labeled' rows are no rankings"),
            (
                {"metrics": ("recall@3",), "protocol": "leave_one_out"},
                r"leave_one_out has hit, ndcg and mrr .*'recall@3'",
            ),
        ],
    )
    def test_refused(self, options, message):
        with pytest.raises(ValueError, match=message):
            Ranking(**options)
