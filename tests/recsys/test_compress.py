"""The search for small recommenders: on validation pairs alone, within a budget, gone on with after a break."""

from __future__ import annotations

from functools import partial

import pytest

import recsys
from graphkd import Budget
from recsys import Split
from recsys.models import MF
from recsys.tasks import Clicks, Ranking
from tests.compress.test_compress import told
from tests.core.test_tuning import Killer
from tests.methods import recommenders

pytest.importorskip("optuna")


def milliseconds(model) -> float:
    """A latency that is the same in each run."""
    return sum(parameter.numel() for parameter in model.parameters()) / 1000


QUICK = {"trials": 4, "epochs": 9, "methods": ["cd", "none"], "latency": milliseconds, "metric_every": 1}
STUDENTS = {f"mf-{width}": partial(MF, recommenders.USERS, recommenders.ITEMS, width) for width in (2, 4, 6)}


@pytest.fixture(scope="module")
def split():
    return recommenders.split()


def compressed(split, **options):
    given = {"students": STUDENTS, "progress": False, **QUICK, **options}
    return recsys.compress(recommenders.mf(1, 8), split, **given)


@pytest.fixture(scope="module")
def whole(split):
    return compressed(split)


def test_the_function_stands_before_the_module_of_its_name():
    import recsys.compress

    assert callable(recsys.compress)


def test_a_front_of_widths(whole):
    assert 1 <= len(whole) <= 3
    assert whole.metric == "ndcg@10"
    best = whole.best()
    assert best.card["student"] in STUDENTS
    assert best.card["scores"].keys() == {"val", "test"}
    assert best.card["validation"] == best.card["scores"]["val"]["ndcg@10"]
    assert whole.teacher["parameters"] == 8 * (recommenders.USERS + recommenders.ITEMS)


def test_test_pairs_are_of_no_effect_on_the_choice(split, whole):
    assert told(compressed(recommenders.poisoned(split, "ranking"))) == told(whole)
    assert told(compressed(Split(split.train, split.test, split.valid))) != told(whole)


def test_a_search_that_was_broken_off_goes_on_and_finds_the_same(split, whole, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        compressed(split, checkpoint=tmp_path, log=Killer(12), save_every=1)
    assert told(compressed(split, checkpoint=tmp_path, resume=True, save_every=1)) == told(whole)


def test_widths_methods_and_queries_that_are_found(split):
    front = recsys.compress(recommenders.mf(1, 8), split, trials=3, epochs=2, progress=False)
    assert {row["student"] for row in front.tried} <= {"mf-2", "mf-4"}
    assert {row["method"] for row in front.tried} <= {"rrd", "cd", "kd", "none"}
    assert all(each.costs.latency_ms > 0 for each in front)
    assert front[0].costs.form == "torch, best 20"


def test_what_is_over_the_budget_is_not_trained(split):
    front = compressed(split, budget=Budget(parameters=1000))
    assert {row["student"] for row in front.tried} == {"mf-2"}
    assert [row["student"] for row in front.left_out] == ["mf-4", "mf-6"]
    assert front.left_out[0]["reason"] == "1400 parameters, the budget has 1000"


def test_what_is_refused(split):
    none = recommenders.without(split.valid, split.valid)
    with pytest.raises(ValueError, match="the data have none"):
        compressed(Split(split.train, none, split.test))
    with pytest.raises(TypeError, match=r"'task' must be recsys.tasks.Ranking"):
        compressed(split, task=Clicks())
    with pytest.raises(ValueError, match="more being better, got 'giniindex@10'"):
        compressed(split, task=Ranking(metrics=("giniindex@10",)))
    with pytest.raises(ValueError, match="there is no method 'nothing'"):
        compressed(split, methods=["nothing"])
    with pytest.raises(ValueError, match="there is no width below the teacher's 2"):
        recsys.compress(recommenders.mf(1, 2), split)
    with pytest.raises(TypeError, match="'teacher' must be"):
        recsys.compress(object(), split)
