"""The bridge: RecBole's ids, splits, models and metrics, without its traces in the process."""

from __future__ import annotations

import functools
import logging
import os
import random
import sys
import warnings

import numpy as np
import pytest
import torch

from graphkd import Distiller, Frozen, fit
from recsys import bridge
from recsys._repairs import repaired
from recsys.data.batches import RankingBatches
from recsys.data.same_ids import check_same_ids
from recsys.evaluate import METRICS, full_ranking
from recsys.losses import BPR, RRD, LogLoss
from recsys.models import show, tables_of
from recsys.models.rankings import top_items
from recsys.sources import RRDLists

pytestmark = pytest.mark.usefixtures("recbole")

TOP = ("recall", "ndcg", "hit", "mrr", "precision", "map")
OPTIONS = {
    "metrics": ["Recall", "NDCG", "Hit", "MRR", "Precision", "MAP"],
    "topk": [5, 10, 20],
    "metric_decimal_place": 12,
    "eval_batch_size": 1_000_000,
}


@pytest.fixture(scope="module")
def data(recbole):
    return bridge.load("ml-100k", options=OPTIONS)


def trained(data, model, epochs=1, **options):
    """A model after a little training, so that its ranking is not chance."""
    torch.manual_seed(0)
    student = bridge.recommender(data, model, {"embedding_size": 16, **options})
    optimizer = functools.partial(torch.optim.Adam, lr=2e-2)
    batches = RankingBatches(data.split.train, batch_size=4096)
    loss = LogLoss() if model == "NeuMF" else BPR(reduction="mean")
    fit(Distiller(student, None, loss, call=show), batches, epochs=epochs, optimizer=optimizer, progress=False)
    return student


def recbole_metrics(data, model):
    """What RecBole's own trainer says on its own loaders."""
    with repaired(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from recbole.data import create_dataset, data_preparation
        from recbole.trainer import Trainer
        from recbole.utils import init_seed

        config = data.config
        threads = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
        init_seed(config["seed"], config["reproducibility"])
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = threads
        _, _, test = data_preparation(config, create_dataset(config))
        model.model.eval()
        return Trainer(config, model.model).evaluate(test, load_best_model=False)


class TestMetrics:
    @pytest.mark.parametrize("name", ["BPR", "LightGCN"])
    def test_metrics_are_recboles(self, data, name, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)  # RecBole's trainer makes folders where it stands
        monkeypatch.setattr(sys, "argv", ["test"])
        model = trained(data, name)
        wanted = recbole_metrics(data, model)
        split, names = data.split, [f"{kind}@{k}" for kind in TOP for k in (5, 10, 20)]
        got = full_ranking(model, split.test, (split.train, split.valid), names)
        assert got["ndcg@10"] > 0.04
        for metric in names:
            assert got[metric] == pytest.approx(wanted[metric], abs=1e-6), metric
        assert set(TOP) <= set(METRICS)

    def test_lightgcn_shows_what_recbole_shows(self, data):
        torch.manual_seed(0)
        model = bridge.recommender(data, "LightGCN", {"embedding_size": 4})
        wanted = model.model()  # by its own product
        for one, other in zip(model.tables(), wanted, strict=True):
            torch.testing.assert_close(one, other)
        for one, other in zip(model.tables(), model.model(), strict=True):
            torch.testing.assert_close(one, other)

    def test_neumf_scores_as_recbole(self, data):
        torch.manual_seed(0)
        model = bridge.recommender(data, "NeuMF", {"mlp_hidden_size": [8]}).eval()
        users, items = torch.tensor([[3], [5]]), torch.tensor([[1, 2, 9], [4, 4, 7]])
        scores = model.score(users, items)
        pairs = {"user_id": users.expand(-1, 3).flatten(), "item_id": items.flatten()}
        torch.testing.assert_close(scores.sigmoid().flatten(), model.model.predict(pairs))
        torch.testing.assert_close(model.score_items(users[:, 0]).gather(1, items), scores)
        assert not model.has_tables


class TestData:
    def test_facts(self, data):
        split = data.split
        assert (split.train.num_users, split.train.num_items) == (944, 1683)
        assert (len(split.train), len(split.valid), len(split.test)) == (80808, 9596, 9596)
        assert split.train.padding
        assert len(split.user_tokens) == 944
        assert split.item_tokens[0] == "[PAD]"
        assert not split.train.contains(*split.test.pairs()).any()

    def test_the_seed_alone_decides_the_split(self, data):
        torch.manual_seed(123)
        torch.rand(7)
        again = bridge.load("ml-100k", options=OPTIONS)
        check_same_ids(again.split, data.split)
        other = bridge.load("ml-100k", options={"seed": 1})
        with pytest.raises(ValueError, match="trained on the student's training pairs, got"):
            check_same_ids(other.split, data.split)

    def test_yaml_files_and_options(self, tmp_path):
        (tmp_path / "a.yaml").write_text("embedding_size: 8\nseed: 1e1\n")
        (tmp_path / "b.yaml").write_text("embedding_size: 4\neval_args: {split: {LS: valid_and_test}, order: TO}\n")
        data = bridge.load("ml-100k", files=[tmp_path / "a.yaml", tmp_path / "b.yaml"])
        assert data.config["embedding_size"] == 4
        assert data.config["seed"] == 10
        assert int(data.split.test.degrees().max()) == 1
        assert bridge.recommender(data, "BPR").tables()[0].shape == (944, 4)
        assert bridge.recommender(data, "BPR", {"embedding_size": 6}).tables()[0].shape == (944, 6)

    def test_files_of_ones_own(self, tmp_path):
        folder = tmp_path / "mine"
        folder.mkdir()
        rows = [f"u{user}\ti{item}" for user in range(5) for item in range(user, user + 5)]
        (folder / "mine.inter").write_text("\n".join(["user_id:token\titem_id:token", *rows]))
        options = {"data_path": str(tmp_path), "load_col": {"inter": ["user_id", "item_id"]}}
        split = bridge.load("mine", options=options).split
        assert sorted(split.user_tokens) == ["[PAD]", "u0", "u1", "u2", "u3", "u4"]
        assert sum(len(part) for part in (split.train, split.valid, split.test)) == 25
        options["load_col"]["inter"].append("rating")
        with pytest.raises(ValueError, match=r"must have the columns \['rating'\], got \['user_id', 'item_id'\]"):
            bridge.load("mine", options=options)
        with pytest.raises(ValueError, match=r"must have the columns \['person'\]"):
            bridge.load("mine", options={**options, "USER_ID_FIELD": "person", "load_col": None})

    def test_unknown_keys_are_named_with_the_nearest(self):
        with pytest.raises(ValueError, match="no option 'embeding_size' for BPR; did you mean 'embedding_size'"):
            bridge.load("ml-100k", options={"embeding_size": 8})
        assert bridge.load("ml-100k", options={"my_own_knob": 8}, known=["my_own_knob"]).config["my_own_knob"] == 8

    def test_unknown_metrics_are_named(self):
        with pytest.raises(
            ValueError, match=r"'metrics' must be some of \['recall', .*\], which are .* got 'no_such_metric'"
        ):
            bridge.load("ml-100k", options={"metrics": ["no_such_metric"]})

    def test_missing_files_are_named(self, tmp_path):
        with pytest.raises(
            FileNotFoundError, match=r"'anime' must have interactions at .*RecBole publishes it at http"
        ):
            bridge.load("anime", options={"data_path": str(tmp_path)})
        assert list(tmp_path.iterdir()) == []


class TestTraces:
    def facts(self):
        logger = logging.getLogger()
        return {
            "numpy": {name: vars(np).get(name) for name in ("bool", "int", "float", "object", "long", "float_")},
            "argv": list(sys.argv),
            "environ": dict(os.environ),
            "log": (logger.level, list(logger.handlers), logging.root.manager.disable),
            "filters": list(warnings.filters),
            "random": random.getstate(),
            "numpy random": np.random.get_state()[1].tolist(),  # noqa: NPY002
            "torch random": torch.get_rng_state().tolist(),
            "default": torch.get_default_dtype(),
        }

    def test_the_process_is_as_it_was(self, monkeypatch, tmp_path):
        import yaml

        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["program", "--embedding_size=3", "--nonsense=1"])
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
        before, text = self.facts(), yaml.load("1e-3", yaml.FullLoader)
        data = bridge.load("ml-100k")
        assert data.config["embedding_size"] == 64
        assert self.facts() == before
        assert yaml.load("1e-3", yaml.FullLoader) == text
        assert list(tmp_path.iterdir()) == []
        with pytest.raises(ValueError, match="no option"):
            bridge.load("ml-100k", options={"no_such_key": 1})
        assert self.facts() == before

    def test_building_a_model_draws_from_the_callers_generator_only(self, data):
        torch.manual_seed(5)
        one = bridge.recommender(data, "LightGCN", {"embedding_size": 4})
        torch.manual_seed(5)
        other = bridge.recommender(data, "LightGCN", {"embedding_size": 4})
        assert torch.equal(one.tables()[0], other.tables()[0])


class TestModels:
    def own(self):
        with repaired():
            from recbole.model import general_recommender

        class Mine(general_recommender.BPR):
            """A model of the user's, under another name."""

            def __init__(self, config, dataset):
                super().__init__(config, dataset)
                self.knob = config["my_own_knob"]

        return Mine

    def test_a_class_of_ones_own_gets_its_parents_defaults(self, data):
        model = bridge.recommender(data, self.own(), {"my_own_knob": 3}, known=["my_own_knob"])
        assert model.model.knob == 3
        assert model.tables()[0].shape == (944, 64)
        with pytest.raises(ValueError, match="no option 'my_own_knob' for Mine"):
            bridge.recommender(data, self.own(), {"my_own_knob": 3})

    def test_a_class_that_scores_otherwise_is_scored_by_its_own_function(self, data):
        class Doubled(self.own()):
            def predict(self, interaction):
                return 2 * super().predict(interaction)

        model = bridge.recommender(data, Doubled, known=["my_own_knob"])
        assert not model.has_tables
        plain = bridge.recommender(data, self.own(), known=["my_own_knob"])
        plain.load_state_dict(model.state_dict())
        users, items = torch.tensor([[3], [8]]), torch.tensor([[4, 5]])
        torch.testing.assert_close(model.score(users, items), 2 * plain.score(users, items))

    def test_a_model_scored_by_its_own_functions(self, data):
        torch.manual_seed(0)
        model = bridge.recommender(data, "NGCF", {"embedding_size": 8, "hidden_size_list": [8]}).eval()
        assert not model.has_tables
        users, items = torch.tensor([3, 8]), torch.tensor([[4, 5]])
        with torch.no_grad():
            scores = model.score_items(users)
            assert scores.shape == (2, 1683)
            torch.testing.assert_close(model.score(users[:, None], items), scores[:, 4:6])
            model.model.item_embedding.weight.add_(1.0)  # it keeps what it propagated, which must not be used again
            torch.testing.assert_close(model.score(users[:, None], items), model.score_items(users)[:, 4:6])

    def test_sequential_models_are_refused(self, data):
        with pytest.raises(
            TypeError, match=r"'model' must be a general recommender, .* got GRU4Rec of type SEQUENTIAL"
        ):
            bridge.recommender(data, "GRU4Rec", {"train_neg_sample_args": None})

    def test_the_students_state_is_recboles(self, data):
        model = bridge.recommender(data, "BPR", {"embedding_size": 4})
        assert set(model.model.state_dict()) == {"user_embedding.weight", "item_embedding.weight"}


@pytest.mark.parametrize("name", ["BPR", "LightGCN"])
def test_end_to_end_and_resumed(data, name, tmp_path):
    """A teacher, its lists, a student of RecBole's, a checkpoint that holds no code, and the same numbers again."""
    split = data.split
    teacher = tables_of(trained(data, name, epochs=3))
    top = top_items(teacher, split.train, 100)

    def run(epochs, folder, resume=False):
        torch.manual_seed(1)
        student = bridge.recommender(data, name, {"embedding_size": 4})
        batches = RankingBatches(
            split.train, batch_size=8192, sources={"rrd": RRDLists(top, split.train, k=10, l=10, scale=5.0)}
        )
        task = Distiller(student, Frozen(teacher, call=show), BPR() + 0.01 * RRD(), call=show)
        rate = functools.partial(torch.optim.Adam, lr=5e-3)
        fit(
            task,
            batches,
            epochs=epochs,
            optimizer=rate,
            metric=lambda model: full_ranking(model, split.valid, split.train, ["ndcg@10"])["ndcg@10"],
            checkpoint=tmp_path / folder,
            resume=resume,
            progress=False,
        )
        return student

    whole = run(2, "whole")
    run(1, "parts")
    resumed = run(2, "parts", resume=True)
    for one, other in zip(whole.tables(), resumed.tables(), strict=True):
        assert torch.equal(one, other)
    torch.load(tmp_path / "whole" / "best.pt", weights_only=True)
    assert full_ranking(whole, split.test, (split.train, split.valid), ["ndcg@10"])["ndcg@10"] > 0.02
    assert 0 not in top
