"""Rankings that are measured, served and trained: repeats, ties, scores that are no numbers, states that have changed.

What the RecBole bridge reads is in ``test_recbole.py``, ids and pairs are in ``test_interactions.py``.
"""

from __future__ import annotations

import functools
import random
import sys
import warnings

import pytest
import torch
import torch.nn.functional as F

import recsys
from graphkd import Distiller, Loss, fit
from recsys import Interactions, Split, bridge
from recsys._repairs import repaired
from recsys.data.batches import RankingBatches
from recsys.evaluate import auc, draw_candidates, full_ranking, leave_one_out, quality
from recsys.losses import BPR, RecBoleLoss
from recsys.models import MF, LightGCN, Recommender, Tables, show, tables_of
from recsys.models.rankings import top_items, top_users
from recsys.retrieve import Retriever
from recsys.serving.export import export, load_export
from recsys.serving.faiss_index import faiss_index
from recsys.tasks import Ranking
from tests.recsys.laws import toy

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:recbole")  # of torch, about RecBole's own code

NAN, INF = float("nan"), float("inf")
NAMES = [f"{kind}@{k}" for kind in ("recall", "ndcg", "hit", "mrr", "precision", "map") for k in (1, 5, 10)]


def pairs(users, items, num_users=3, num_items=4, padding=False):
    return Interactions.from_pairs(torch.tensor(users), torch.tensor(items), num_users, num_items, padding=padding)


def by_recbole(data, model, phase):
    """What RecBole's own loaders, trainer and evaluator make of a model, on the parts that were split."""
    with repaired(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from recbole.data.dataloader import FullSortEvalDataLoader
        from recbole.data.utils import create_samplers
        from recbole.trainer import Trainer

        config = data.config
        for key, value in {"metrics": ["Recall", "NDCG", "Hit", "MRR", "Precision", "MAP"], "topk": [1, 5, 10]}.items():
            config[key] = value
        config["metric_decimal_place"] = 12
        part = {"train": 0, "valid": 1, "test": 2}[phase]
        sampler = create_samplers(config, data.dataset, list(data.parts))[part]
        loader = FullSortEvalDataLoader(config, data.parts[part], sampler)
        model.model.eval()
        return Trainer(config, model.model).evaluate(loader, load_best_model=False)


@pytest.fixture
def log_with_repeats(tmp_path, monkeypatch, recbole):
    """A log in which a third of the purchases are repeats, by time, as RecBole reads it."""
    monkeypatch.chdir(tmp_path)  # RecBole's trainer makes folders where it stands
    monkeypatch.setattr(sys, "argv", ["test"])
    random.seed(0)
    (tmp_path / "shop").mkdir()
    rows = []
    for user in range(60):
        for time in range(22):
            known = [row[1] for row in rows if row[0] == user]
            item = random.choice(known) if known and random.random() < 0.3 else random.randrange(50)
            rows.append((user, item, time * 60 + 1_700_000_000))
    lines = [f"u{user}\ti{item}\t{time}" for user, item, time in rows]
    head = "user_id:token\titem_id:token\ttimestamp:float"
    (tmp_path / "shop" / "shop.inter").write_text("\n".join([head, *lines]) + "\n")
    return tmp_path


@pytest.fixture(scope="session")
def recbole():
    pytest.importorskip("recbole", reason="RecBole is not installed: pip install --no-deps recbole==1.2.1")


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


def spoiled(value, where):
    """Scores of 3 users and 20 items of which some are no numbers."""
    user, item = torch.randn(3, 4), torch.randn(20, 4)
    {"item": item, "user": user}[where[0]][where[1]] = value
    return Tables(user, item)


class Given(Recommender):
    """A model that gives these scores of all items."""

    has_tables = False

    def __init__(self, scores):
        super().__init__(*scores.shape)
        self.register_buffer("scores", scores)

    def score(self, users, items):
        return self.scores[torch.broadcast_tensors(users, items)]

    def score_items(self, users):
        return self.scores[users]


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


SHOWN = {
    "SGL": {"embedding_size": 8},
    "NGCF": {"embedding_size": 8, "hidden_size_list": [8]},
    "NCL": {"embedding_size": 8},
    "GCMC": {"gcn_output_dim": 10, "embedding_size": 8},
    "SpectralCF": {"embedding_size": 8},
    "DMF": {},
}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A small data set in RecBole's format."""
    pytest.importorskip("recbole", reason="RecBole is not installed: pip install --no-deps recbole==1.2.1")
    folder = tmp_path_factory.mktemp("data")
    (folder / "d").mkdir()
    rows = "".join(f"u{u}\ti{(u * 7 + k * k) % 60}\n" for u in range(50) for k in range(14))
    (folder / "d" / "d.inter").write_text("user_id:token\titem_id:token\n" + rows)
    how = {"split": {"RS": [0.7, 0.1, 0.2]}, "order": "RO", "group_by": "user", "mode": "full"}
    return bridge.load("d", options={"data_path": str(folder), "eval_args": how})


def built(data, name):
    torch.manual_seed(0)
    return bridge.recommender(data, name, SHOWN.get(name))


class TestTheStateThatIsMeasured:
    @pytest.mark.parametrize("name", list(SHOWN))
    def test_scores_follow_the_weights(self, small, name):
        split, model = small.split, built(small, name).eval()
        users, items = split.test.pairs()
        chosen = torch.tensor([3, 5, 8])

        def seen():
            with torch.no_grad():
                found = model.score(users[:9], items[:9]), model.score_items(chosen), model(chosen)
            return [each.clone() for each in found]

        first, again = seen(), seen()
        assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
        state = {key: torch.randn_like(value) for key, value in model.state_dict().items()}
        model.load_state_dict(state)
        assert not any(torch.equal(one, other) for one, other in zip(first, seen(), strict=True))

    def test_leave_one_out_after_the_weights_are_noise(self, small):
        split, model = small.split, built(small, "SGL")
        users, items = split.test.pairs()
        targets = torch.full((split.test.num_users,), -1).index_copy(0, users, items)
        candidates = draw_candidates(split.train.union(split.valid, split.test), 20)
        before = leave_one_out(model, targets, candidates)
        for parameter in model.parameters():
            parameter.data = torch.randn_like(parameter)
        assert leave_one_out(model, targets, candidates) != before

    @pytest.mark.parametrize("name", ["SGL", "NCL", "DMF"])
    def test_a_step_may_follow_a_measurement(self, small, name):
        split, model = small.split, built(small, name)
        measured = []

        def metric(student):
            measured.append(full_ranking(student, split.valid, split.train, ["ndcg@10"])["ndcg@10"])
            measured.append(float(student.score(torch.tensor([1]), torch.tensor([2]))))
            return measured[-2]

        batches = RankingBatches(split.train, batch_size=200)
        adam = functools.partial(torch.optim.Adam, lr=1e-4 if name == "DMF" else 0.05)
        fit(Distiller(model, None, BPR(), call=show), batches, epochs=3, optimizer=adam, metric=metric, progress=False)
        assert len(set(measured[1::2])) == 3  # the score of a pair moves in every epoch


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


class TestWhatLeavesTraining:
    split = Split(pairs([0, 1, 2], [0, 1, 2], 3, 6), pairs([0], [5], 3, 6), pairs([1], [5], 3, 6))
    model = Tables(torch.eye(3, 6), torch.eye(6))

    def test_the_training_pairs_travel_with_the_file(self, tmp_path):
        export(self.model, tmp_path / "s", self.split)
        found = load_export(tmp_path / "s")
        for retriever in (found.retriever(), Retriever(found.tables, found.seen)):
            best = retriever.users(torch.arange(3), 1).items[:, 0]
            assert not self.split.train.contains(torch.arange(3), best).any()

    def test_a_service_may_leave_out_all_that_users_have(self, tmp_path):
        everything = self.split.train.union(self.split.valid, self.split.test)
        export(self.model, tmp_path / "s", self.split, seen=everything)
        found = load_export(tmp_path / "s")
        assert len(found.seen) == 5
        assert 5 not in found.retriever().users(torch.tensor([0, 1]), 4).items.tolist()[0]

    def test_without_a_split_nothing_is_left_out(self, tmp_path):
        export(self.model, tmp_path / "s")
        found = load_export(tmp_path / "s")
        assert found.seen is None
        assert found.retriever().users(torch.arange(3), 1).items[:, 0].tolist() == [0, 1, 2]

    def test_the_padding_item_is_never_recommended(self, tmp_path):
        item = torch.tensor([[9.0], [1.0], [2.0], [3.0]])
        train = pairs([1, 2], [3, 1], 3, 4, padding=True)
        export(Tables(torch.ones(3, 1), item), tmp_path / "s", Split(train, train, train))
        found = load_export(tmp_path / "s")
        assert found.tables.padding
        for retriever in (found.retriever(), Retriever(found.tables), Retriever(Tables(torch.ones(3, 1), item), train)):
            assert 0 not in retriever.users(torch.arange(1, 3), 4).items
            assert 0 not in retriever.queries(torch.ones(2, 1), 4).items

    def test_nor_by_an_index_of_faiss(self, monkeypatch):
        added = []

        class Flat:
            def __init__(self, width):
                self.width = width

            def add(self, items):
                added.append((items.shape, None))

        class Mapped(Flat):
            def add_with_ids(self, items, ids):
                added.append((items.shape, ids.tolist()))

        monkeypatch.setitem(sys.modules, "faiss", type("faiss", (), {"IndexFlatIP": Flat, "IndexIDMap": Mapped}))
        faiss_index(Tables(torch.ones(2, 3), torch.ones(4, 3)))
        faiss_index(Tables(torch.ones(2, 3), torch.ones(4, 3), padding=True))
        assert added == [((4, 3), None), ((3, 3), [1, 2, 3])]

    def test_tables_of_a_recbole_model_know_their_padding(self, small):
        assert tables_of(built(small, "BPR")).padding

    def test_pairs_are_kept_in_a_file(self, tmp_path):
        kept = pairs([0, 0, 0, 2], [1, 1, 3, 2], 3, 4)
        kept.save(tmp_path / "pairs.safetensors")
        again = Interactions.load(tmp_path / "pairs.safetensors")
        assert (again.num_users, again.num_items, again.padding) == (3, 4, False)
        for name in ("ptr", "items", "repeats"):
            assert torch.equal(getattr(again, name), getattr(kept, name))
        padded = toy(padding=True)
        padded.save(tmp_path / "padded")
        assert Interactions.load(tmp_path / "padded").padding

    def test_a_damaged_file_is_refused(self, tmp_path):
        path = tmp_path / "s"
        export(Tables(torch.randn(30, 8), torch.randn(40, 8)), path, Split(toy(), toy(), toy()))
        raw, refused = path.read_bytes(), 0
        for place in range(8, len(raw), len(raw) // 25):
            path.write_bytes(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
            with pytest.raises(ValueError, match=r"is damaged|must be a safetensors file|must hold the tables"):
                load_export(path)
            refused += 1
        assert refused >= 25

    def test_everyone_may_read_an_export(self, tmp_path):
        export(self.model, tmp_path / "s")
        plain = tmp_path / "plain"
        plain.touch()
        assert (tmp_path / "s").stat().st_mode == plain.stat().st_mode

    @pytest.mark.parametrize("padding", [False, True])
    def test_a_heavy_user_gets_a_short_list(self, padding):
        first = int(padding)
        seen = pairs([first] * 7, list(range(first, first + 7)), 3, 10, padding=padding)
        torch.manual_seed(0)
        tables = Tables(torch.randn(3, 4), torch.randn(10, 4))
        best = Retriever(tables, seen, block_items=4).users(torch.arange(first, 3), 5)
        left = 10 - 7 - first
        assert best.items.shape == (3 - first, 5)
        assert sorted(best.items[0, :left].tolist()) == list(range(first + 7, 10))
        assert best.items[0, left:].tolist() == [-1] * (5 - left)
        assert best.scores[0, left:].tolist() == [-INF] * (5 - left)
        assert (best.items[1:] >= 0).all()

    def test_lists_for_methods_name_the_heavy_users(self):
        seen = pairs([0] * 9 + [2] * 8, [*range(9), *range(8)], 3, 10)
        message = r"got 5, but user 0 has 1 left, user 2 has 2 left: give a smaller 'k'"
        with pytest.raises(ValueError, match=message):
            top_items(MF(3, 10, 2), seen, 5)
        with pytest.raises(
            ValueError, match=r"got 2, but item 0 has 1 left, item 1 has 1 left, item 2 has 1 left and 5"
        ):
            top_users(MF(3, 10, 2), seen, 2)


class TestTablesThatAreCalled:
    torch.manual_seed(0)
    models = (Tables(torch.randn(3, 4), torch.randn(10, 4)), MF(3, 10, 4), LightGCN(toy(3, 10, 12), 4))
    users = torch.tensor([2, 0, 1, 1])

    @pytest.mark.parametrize("model", models, ids=lambda model: type(model).__name__)
    def test_scores_of_all_items(self, model):
        user, item = model.tables()
        torch.testing.assert_close(model(self.users), (user @ item.T)[self.users])

    @pytest.mark.parametrize("model", models, ids=lambda model: type(model).__name__)
    def test_exported_for_any_number_of_users(self, model):
        users = torch.export.Dim("users")
        program = torch.export.export(model.eval(), (torch.tensor([0, 1]),), dynamic_shapes=({0: users},))
        for chosen in (self.users, self.users[:1]):
            torch.testing.assert_close(program.module()(chosen), model(chosen))

    @pytest.mark.parametrize("model", models[:2], ids=lambda model: type(model).__name__)
    def test_scripted(self, model):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch would have us export
            scripted = torch.jit.script(model.eval())
        torch.testing.assert_close(scripted(self.users), model(self.users))

    def test_a_propagated_model_is_scripted_by_its_tables(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scripted = torch.jit.script(tables_of(self.models[2]))
        torch.testing.assert_close(scripted(self.users), self.models[2](self.users))

    @pytest.mark.parametrize("wrong", [-1, 3])
    def test_other_users_are_refused(self, wrong):
        with pytest.raises(IndexError, match="'users' must hold ids from 0 to 2, got ids from"):
            self.models[0](torch.tensor([0, wrong]))

    def test_whole_numbers_are_no_tables(self):
        with pytest.raises(
            TypeError, match=r"'user' and 'item' must be of one floating type, got torch.int8 and torch.int8"
        ):
            Tables(torch.ones(2, 2, dtype=torch.int8), torch.ones(3, 2, dtype=torch.int8))
        with pytest.raises(TypeError, match=r"must be of one floating type, got torch.float16 and torch.float32"):
            Tables(torch.ones(2, 2).half(), torch.ones(3, 2))


class TestALossOfRecBoles:
    def batches(self, data, count=4):
        torch.manual_seed(5)
        return list(RankingBatches(data.split.train, batch_size=120))[:count]

    def by_recbole(self, data, name, batches):
        """The weights after RecBole's own loader and trainer went over the same pairs and negatives."""
        inner = built(data, name).model
        with repaired(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from recbole.data.dataloader import TrainDataLoader
            from recbole.data.interaction import Interaction
            from recbole.data.utils import create_samplers
            from recbole.trainer import Trainer

            class Loader(list):
                shuffle = False

            config = data.config
            settings = {"learning_rate": 0.01, "epochs": 1, "learner": "adam", "weight_decay": 0.0}
            for key, value in {**settings, "MODEL_INPUT_TYPE": inner.input_type}.items():
                config[key] = value
            loader = TrainDataLoader(config, data.dataset, create_samplers(config, data.dataset, list(data.parts))[0])
            rows = Loader()
            for batch in batches:
                pair = Interaction({"user_id": batch["users"], "item_id": batch["positives"]})
                of_users = name in ("ENMF", "MultiVAE", "MultiDAE")
                users = Interaction({"user_id": batch["users"].unique()})
                rows.append(users if of_users else loader.sampling_func(pair, batch["negatives"]))
            torch.manual_seed(7)
            Trainer(config, inner)._train_epoch(rows, 0)
        return inner.state_dict()

    @pytest.mark.parametrize(
        "name", ["BPR", "LightGCN", "NGCF", "NeuMF", "DMF", "SimpleX", "ENMF", "MultiVAE", "MultiDAE"]
    )
    def test_a_model_learns_as_in_recbole(self, small, name, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        batches = self.batches(small)
        wanted = self.by_recbole(small, name, batches)
        student = built(small, name)
        start = {key: value.clone() for key, value in student.model.state_dict().items()}
        task = Distiller(student, None, RecBoleLoss(), call=show)
        optimizer = torch.optim.Adam(student.parameters(), lr=0.01)
        torch.manual_seed(7)
        task.train()
        for batch in batches:
            optimizer.zero_grad()
            task(batch).loss.backward()
            optimizer.step()
        found = student.model.state_dict()
        assert any(not torch.equal(found[key], start[key]) for key in found)
        for key, value in wanted.items():
            torch.testing.assert_close(found[key], value, rtol=1e-4, atol=1e-6)
