"""The door of the recommenders."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

import recsys
from graphkd import Distilled, Loss
from recsys.losses import BPR
from recsys.models import MF, Recommender
from recsys.tasks import Ranking
from tests.methods import recommenders

QUICK = {"epochs": 1, "progress": False}


@pytest.fixture(scope="module")
def split():
    return recommenders.split()


class Scored(Recommender):
    """A model without tables."""

    has_tables = False

    def __init__(self):
        super().__init__(recommenders.USERS, recommenders.ITEMS)
        self.table = torch.nn.Linear(2, 1)

    def score(self, users, items):
        both = torch.stack(torch.broadcast_tensors(users.float(), items.float()), dim=-1)
        return self.table(both / 100).squeeze(-1)


def test_the_functions_stand_before_the_modules_of_their_names():
    from recsys.distil import CATALOGUE
    from recsys.methods.lists.rrd import relaxed_ranking_distillation

    assert CATALOGUE.find("rrd") is relaxed_ranking_distillation
    assert callable(recsys.distil)
    tables = [row.name for row in recsys.methods(task=Ranking(), family="tables")]
    assert tables == ["de", "freqd", "ftd", "graphd", "htd", "pckd"]


def test_a_result_is_judged_and_saved(split, tmp_path):
    result = recsys.distil("rrd", recommenders.mf(0, 4), recommenders.mf(1, 8), split, k=20, **QUICK)
    assert result.method == "rrd"
    assert set(result.scores) == {"val", "test"}
    assert list(result.scores["test"]) == ["ndcg@10", "recall@10"]
    assert result.card["settings"]["k"] == 20
    result.save(tmp_path / "student")
    loaded = Distilled.load(tmp_path / "student", MF(recommenders.USERS, recommenders.ITEMS, 4))
    assert torch.equal(loaded.model.user.weight, result.model.user.weight)


def test_a_ranking_is_trained_as_its_task_says_unless_asked(split, monkeypatch):
    taken = {}
    monkeypatch.setattr("graphkd.core.run.fit", lambda *_, **options: taken.update(options))
    recsys.distil("none", recommenders.mf(0, 4), None, split)
    assert {name: taken[name] for name in ("epochs", "patience", "metric_every")} == {
        "epochs": 500,
        "patience": 50,
        "metric_every": 5,
    }
    assert taken["optimizer"].keywords == {"lr": 1e-3, "weight_decay": 1e-3, "fused": True}
    recsys.distil("none", recommenders.mf(0, 4), None, split, epochs=3, patience=2)
    assert (taken["epochs"], taken["patience"]) == (3, 2)


def test_what_the_bridge_loads_has_its_split(split):
    whole = recsys.distil("none", recommenders.mf(0, 4), None, SimpleNamespace(split=split), **QUICK)
    plain = recsys.distil("none", recommenders.mf(0, 4), None, split, **QUICK)
    assert torch.equal(whole.model.user.weight, plain.model.user.weight)


def test_a_student_may_be_a_factory_and_a_method_ones_own(split):
    def mine(problem, *, weight: float = 1.0) -> Loss:
        assert problem.top_items(5).shape == (recommenders.USERS, 5)
        return weight * problem.supervised() + problem.soft()

    make = lambda: MF(recommenders.USERS, recommenders.ITEMS, 4)  # noqa: E731
    result = recsys.distil(mine, make, recommenders.mf(1, 8), split, weight=2.0, **QUICK)
    assert result.method == "mine"
    assert {report["stage"] for report in result.history} == {"student"}


def test_a_loss_is_the_whole_objective(split):
    result = recsys.distil(2.0 * BPR(), recommenders.mf(0, 4), None, split, **QUICK)
    assert result.history[0]["loss"] == pytest.approx(2 * result.history[0]["bpr"], rel=1e-5)


@pytest.mark.parametrize(
    ("method", "student", "teacher", "message"),
    [
        ("de", Scored, None, "'de' needs a teacher: give 'teacher', got None"),
        ("de", Scored, lambda: recommenders.mf(0, 4), r"\['de'\] need the student's tables of users and items, but"),
        ("htd", lambda: recommenders.mf(0, 4), Scored, "need the teacher's tables of users and items, but Scored"),
        ("hetcomp", Scored, lambda: recommenders.mf(0, 4), "that take scores: .*'rrd'"),
        ("rrd", lambda: MF(3, 4, 2), lambda: recommenders.mf(0, 4), "'student' must score 170 users × 180 items"),
        ("rrd", lambda: recommenders.mf(0, 4), lambda: MF(3, 4, 2), "'teacher' must score 170 users × 180 items"),
        ("rrr", lambda: recommenders.mf(0, 4), None, "there is no method 'rrr'; the nearest are"),
        ("rocket", lambda: recommenders.mf(0, 4), None, "'rocket' needs a larger net to be trained beside the student"),
    ],
)
def test_what_does_not_fit_is_refused_with_words(split, method, student, teacher, message):
    with pytest.raises(ValueError, match=message):
        recsys.distil(method, student(), teacher and teacher(), split, **QUICK)


def test_a_model_without_tables_learns_from_scores(split):
    assert not recsys.distil("cd", Scored(), Scored(), split, **QUICK).model.training


def test_other_data_and_other_tasks_are_refused(split):
    with pytest.raises(TypeError, match=r"'split' must be a recsys.Split\(train, valid, test\), what recsys.bridge"):
        recsys.distil("none", recommenders.mf(0, 4), None, split.train)
    with pytest.raises(ValueError, match="'bridge' is for uniform_ratings: give such a 'task', got 'ranking'"):
        recsys.distil("bridge", recommenders.mf(0, 4), None, split)
    with pytest.raises(TypeError, match=r"'student' must be a recsys.models.Recommender, got Linear"):
        recsys.distil("none", torch.nn.Linear(2, 2), None, split)


class TestClicks:
    def test_two_tasks_need_the_layers_of_a_net(self):
        with pytest.raises(TypeError, match=r"two tasks share the student's layers: give 'student' as recsys.models"):
            recsys.distil("multitask", torch.nn.Linear(2, 2), None, recommenders.rows(), second="y")

    def test_a_second_task_may_be_a_column(self):
        net, rows = recommenders.net(0), recommenders.rows()
        assert not recsys.distil("multitask", net, None, rows, second="y", **QUICK).model.training
        with pytest.raises(ValueError, match="'second' must be a column of the rows"):
            recsys.distil("multitask", net, None, rows, second="z", **QUICK)
        with pytest.raises(ValueError, match="'second' must hold a label a row"):
            recsys.distil("multitask", net, None, rows, second=torch.zeros(3), **QUICK)

    def test_label_free_stopping_reads_no_label_of_the_validation_rows(self):
        given = recommenders.GIVEN["teachers"]()["teacher"]
        rows = recommenders.rows()
        other = dict(rows.columns)
        other["y"] = torch.where(torch.isin(torch.arange(240), rows.valid), 1 - other["y"], other["y"])
        results = [
            recsys.distil("ensemble_stop", recommenders.net(5), given, data, epochs=6, progress=False)
            for data in (rows, type(rows)(other, rows.fields, rows.train, rows.valid, rows.test))
        ]
        both = (result.model.state_dict().values() for result in results)
        assert all(torch.equal(one, two) for one, two in zip(*both, strict=True))


class TestUniform:
    @pytest.mark.parametrize(
        ("method", "student", "message"),
        [
            ("hint", recommenders.factors, "this method is for an autoencoder"),
            ("cause", recommenders.autoencoder, "this method is for a factorisation"),
            ("cause", recommenders.factors, r"give 'student' as BiasedMF\(..., copies=True\)"),
        ],
    )
    def test_some_methods_are_for_one_kind_of_student(self, method, student, message):
        with pytest.raises(ValueError, match=message):
            recsys.distil(method, student(0), None, recommenders.ratings(), **QUICK)

    def test_autoencoders_are_trained_for_longer(self, monkeypatch):
        taken = []
        monkeypatch.setattr("graphkd.core.run.fit", lambda *_, **options: taken.append(options))
        for student in (recommenders.factors(0), recommenders.autoencoder(0)):
            recsys.distil("none", student, None, recommenders.ratings())
        assert [options["epochs"] for options in taken] == [40, 160]
        assert [options["optimizer"].keywords["lr"] for options in taken] == [5e-3, 1e-3]
