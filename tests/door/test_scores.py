"""Scores that are no numbers, scores that tie, and models that score in a type of their own."""

import sys

import pytest
import torch
import torch.nn.functional as F

import recsys
from graphkd import Distiller, Loss, fit
from recsys import Split
from recsys.data.batches import RankingBatches
from recsys.evaluate import auc, full_ranking, leave_one_out, quality
from recsys.losses import BPR
from recsys.models import MF, Tables, show
from recsys.models.rankings import top_items, top_users
from recsys.retrieve import Retriever
from recsys.serving.export import export
from recsys.serving.faiss_index import faiss_index
from tests.door.rankings import NAMES, Given, built, by_recbole, pairs, spoiled
from tests.recsys.laws import toy

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:recbole")  # of torch, about RecBole's own code

NAN, INF = float("nan"), float("inf")


class TestScoresThatAreNoNumbers:
    test = pairs([0, 1, 2], [5, 6, 7], 3, 20)

    @pytest.mark.parametrize(("value", "count"), [(NAN, 33), (INF, 33), (-INF, 33)])
    def test_leave_one_out_counts_them(self, value, count):
        model = Tables(torch.full((3, 4), value), torch.rand(20, 4))
        with pytest.raises(ValueError, match=f"'model' must give finite scores, got {count} NaN or infinite of 33"):
            leave_one_out(model, torch.tensor([5, 6, 7]), torch.arange(8, 18).repeat(3, 1), cutoffs=(1,))

    @pytest.mark.parametrize("item", [5, 9])  # a target, and one among the candidates
    def test_one_item_is_enough(self, item):
        with pytest.raises(ValueError, match="'model' must give finite scores, got"):
            leave_one_out(spoiled(NAN, ("item", item)), torch.tensor([5, 6, 7]), torch.arange(8, 18).repeat(3, 1))

    @pytest.mark.parametrize("value", [NAN, INF])
    def test_full_ranking_counts_them(self, value):
        scores = torch.randn(3, 20)
        scores[:, 3] = value
        with pytest.raises(ValueError, match=rf"got 3 NaN or infinite of 60, the first {value} at \(0, 3\): training"):
            full_ranking(Given(scores), self.test, (), ["recall@1"])

    def test_a_seen_item_is_looked_at_too(self):
        scores = torch.randn(3, 20)
        scores[0, 3] = NAN
        with pytest.raises(ValueError, match="got 1 NaN or infinite of 60"):
            full_ranking(Given(scores), self.test, pairs([0], [3], 3, 20), ["recall@1"])

    def test_nobody_and_nothing_may_be_nan(self):
        scores = torch.randn(3, 20)
        scores[0], scores[:, 0] = NAN, NAN
        test = pairs([1, 2], [5, 6], 3, 20, padding=True)
        assert 0 <= full_ranking(Given(scores), test, (), ["recall@10"])["recall@10"] <= 1
        assert top_items(Given(scores), test, 5)[1:].min() > 0

    def test_half_precision_that_overflows(self):
        model = Tables(*(300 * torch.ones(n, 4, dtype=torch.float16) for n in (3, 20)))
        with pytest.raises(ValueError, match=r"got 60 NaN or infinite of 60, .* too large for torch.float16"):
            full_ranking(model, self.test, (), ["recall@1"])
        with pytest.raises(ValueError, match="'tables' must give finite scores"):
            Retriever(model).users(torch.tensor([0]), 3)

    def test_lists_for_methods(self):
        with pytest.raises(ValueError, match="'model' must give finite scores, got 3"):
            top_items(spoiled(NAN, ("item", 3)), None, 4)
        with pytest.raises(ValueError, match="'model' must give finite scores, got 20"):
            top_users(spoiled(NAN, ("user", 1)), None, 2)

    def test_what_serves(self, tmp_path, monkeypatch):
        broken = spoiled(NAN, ("item", 3))
        message = "'tables' must be finite, but of the item table, got 4 NaN or infinite of 80"
        for use in (Retriever, lambda model: export(model, tmp_path / "tables")):
            with pytest.raises(ValueError, match=message):
                use(broken)
        assert not (tmp_path / "tables").exists()
        monkeypatch.setitem(sys.modules, "faiss", sys)  # which is not asked
        with pytest.raises(ValueError, match=message):
            faiss_index(broken)

    @pytest.mark.parametrize("measure", [auc, quality])
    @pytest.mark.parametrize("value", [NAN, INF])
    def test_clicks(self, measure, value):
        with pytest.raises(ValueError, match="must be finite, got 1 NaN or infinite of 3"):
            measure(torch.tensor([0.1, value, -1.0]), torch.tensor([1, 0, 1]))

    def test_a_run_that_diverges_is_not_kept_as_best(self):
        split = Split(toy(20, 30, 90), toy(20, 30, 30, seed=1), toy(20, 30, 30, seed=2))

        class Diverges(Loss):
            on = ("positive", "negative")

            def forward(self, student):
                return (student[0] * student[1] * 1e30).exp().sum().clamp(max=1.0) + student[0].sum() * 1e30

        with pytest.raises(ValueError, match="finite"):
            recsys.distil(Diverges(), MF(20, 30, 4), None, split, epochs=3, progress=False)


class TestTies:
    def test_a_constant_model_finds_nothing(self):
        flat, users = Tables(torch.zeros(50, 2), torch.zeros(100, 2)), list(range(50))
        for item in range(0, 100, 7):
            test = pairs(users, [item] * 50, 50, 100)
            assert set(full_ranking(flat, test, (), ["recall@10", "ndcg@10", "map@10", "mrr@10"]).values()) == {0.0}
        held = torch.arange(50)
        assert set(leave_one_out(flat, held, held.roll(3)[:, None].repeat(1, 20) % 100).values()) == {0.0}

    @pytest.mark.parametrize("dtype", [torch.int8, torch.bfloat16, torch.float32, torch.int64])
    def test_they_count_against_the_model_at_any_place(self, dtype):
        scores = torch.tensor([[9, 7, 7, 7, 5, 5, 1]] * 2, dtype=dtype)
        test = pairs([0, 0, 1], [1, 4, 0], 2, 7)
        # user 0: item 0, then 2 and 3, then the relevant 1; then 5, then the relevant 4
        found = full_ranking(Given(scores), test, (), ["recall@3", "recall@4", "recall@5", "recall@6", "mrr@4"])
        assert found == {"recall@3": 0.5, "recall@4": 0.75, "recall@5": 0.75, "recall@6": 1.0, "mrr@4": 0.625}

    def test_equals_that_are_all_relevant_stand_side_by_side(self):
        scores = torch.tensor([[3.0, 3.0, 3.0, 1.0]])
        test = pairs([0, 0, 0], [0, 1, 2], 1, 4)
        assert full_ranking(Given(scores), test, (), ["recall@1", "recall@2", "ndcg@3"]) == {
            "recall@1": pytest.approx(1 / 3),
            "recall@2": pytest.approx(2 / 3),
            "ndcg@3": pytest.approx(1.0),
        }

    def test_more_equals_than_places(self):
        scores = torch.zeros(1, 50)
        scores[0, :4], scores[0, 49] = torch.tensor([5.0, 4.0, 3.0, 2.0]), 1.0
        assert full_ranking(Given(scores), pairs([0], [30], 1, 50), (), ["hit@49"]) == {"hit@49": 0.0}
        assert full_ranking(Given(scores), pairs([0], [30], 1, 50), (), ["hit@50"]) == {"hit@50": 1.0}
        assert full_ranking(Given(scores), pairs([0], [49], 1, 50), (), ["hit@4", "hit@5"]) == {"hit@4": 0, "hit@5": 1}

    def test_popularity_and_clipped_scores(self):
        counts = torch.arange(30.0).clamp(max=20)

        class Popular(Given):
            def score_items(self, users):
                return counts.expand(len(users), -1)  # one row for all users

        test = pairs([0, 1], [25, 3], 2, 30)
        found = full_ranking(Popular(torch.zeros(2, 30)), test, pairs([0], [29], 2, 30), ["hit@8", "hit@9", "hit@10"])
        assert found == {"hit@8": 0.0, "hit@9": 0.5, "hit@10": 0.5}  # items 20…28 are alike for user 0
        assert counts[29] == 20  # the model's own numbers are not written to

    def test_clicks_count_half(self):
        assert auc(torch.zeros(10), torch.arange(10) % 2) == 0.5


class TestScoringInTheModelsOwnType:
    def test_a_constant_made_in_score(self):
        class Own(MF):
            has_tables = False

            def score(self, users, items):
                return (self.user(users) * self.item(items)) @ torch.ones(4) + torch.zeros(())

            def score_items(self, users):
                noise = F.one_hot(users % 3, 3).float() @ torch.randn(3, 6)
                return self.score(users[:, None], torch.arange(6)[None]) + 0 * noise

        model, test = Own(3, 6, 4), pairs([0, 1, 2], [0, 1, 2], 3, 6)
        plain = {name: getattr(model, name) for name in ("user", "item")}
        tables = Tables(plain["user"].weight.detach(), plain["item"].weight.detach())
        assert full_ranking(model, test, (), NAMES) == full_ranking(tables, test, (), NAMES)

    def test_the_default_type_stays_while_a_model_scores(self):
        kinds = set()

        class Watching(Given):
            def score_items(self, users):
                kinds.add(torch.get_default_dtype())
                return super().score_items(users)

        full_ranking(Watching(torch.randn(3, 20)), pairs([0], [5], 3, 20), (), ["ndcg@3"])
        assert kinds == {torch.float32}

    def test_a_metric_inside_fit_under_autocast(self):
        split = Split(toy(20, 30, 90), toy(20, 30, 30, seed=1), toy(20, 30, 30, seed=2))
        model = MF(20, 30, 4)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            fit(
                Distiller(model, None, BPR(), call=show),
                RankingBatches(split.train),
                epochs=2,
                metric=lambda student: full_ranking(student, split.valid, split.train, ["ndcg@5"]),
                progress=False,
            )

    @pytest.mark.parametrize("name", ["DMF", "SimpleX", "MultiVAE", "MultiDAE", "CDAE", "ENMF", "DiffRec", "Random"])
    def test_recbole_models_are_measured_as_by_recbole(self, small, name, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["test"])
        model, split = built(small, name), small.split
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.1)  # neither equal scores nor saturated ones
        torch.manual_seed(3)
        found = full_ranking(model, split.test, (split.train, split.valid), NAMES, block_users=10_000)
        assert all(0 <= value <= 1 for value in found.values())
        if name not in ("DiffRec", "Random"):  # which draw while they score
            wanted = by_recbole(small, model, "test")
            assert {key: pytest.approx(wanted[key], abs=1e-11) for key in NAMES} == found

    def test_a_model_that_has_counted_nothing_says_so(self, small):
        with pytest.raises(ValueError, match="Pop counts items while RecBole's trainer runs and has counted none"):
            full_ranking(built(small, "Pop"), small.split.test, small.split.train)
