"""The search for a recommender's settings: on validation pairs alone, and gone on with after it was broken off."""

from __future__ import annotations

from functools import partial

import pytest

import recsys
from graphkd import Tuned
from recsys import Split
from recsys.models import MF
from tests.core.test_tuning import Killer, told
from tests.methods import recommenders

pytest.importorskip("optuna")
QUICK = {"trials": 4, "epochs": 3, "seeds": 1, "finalists": 1, "progress": False, "metric_every": 1}
student = partial(MF, recommenders.USERS, recommenders.ITEMS, 4)


@pytest.fixture(scope="module")
def split():
    return recommenders.split()


def tuned(split, name="cd", **options) -> Tuned:
    teacher = None if name == "none" else recommenders.mf(1, 8)
    return recsys.tune(name, lambda: student(), teacher, split, **{**QUICK, **options})


def test_the_function_stands_before_the_module_of_its_name():
    import recsys.tune

    assert not hasattr(recsys.tune, "tuned")
    assert callable(recsys.tune)


def test_test_pairs_are_of_no_effect_on_the_choice(split):
    poisoned = recommenders.poisoned(split, "ranking")
    assert told(tuned(split)) == told(tuned(poisoned))
    changed = Split(split.train, split.test, split.valid)
    assert told(tuned(split)) != told(tuned(changed))


def test_the_published_setting_is_the_first_trial(split):
    found = tuned(split, "none")
    published = {"lr": 1e-3, "weight_decay": 1e-3}  # of the task
    assert found.trials[0]["setting"] == published
    run = partial(recsys.distil, "none", lambda: student(), None, split, epochs=3, progress=False, metric_every=1)
    assert found.trials[0]["score"] == next(iter(run().scores["val"].values()))
    assert found.published == next(iter(run(seed=1).scores["val"].values()))
    assert found.score >= found.published


def test_its_options_train_what_was_found(split):
    found = tuned(split, "rrd", k=20)
    result = recsys.distil(
        "rrd", lambda: student(), recommenders.mf(1, 8), split, seed=1, progress=False, **found.options
    )
    assert result.card["settings"]["k"] == 20
    assert next(iter(result.scores["val"].values())) == found.score


def test_a_search_that_was_broken_off_goes_on_and_finds_the_same(split, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        tuned(split, checkpoint=tmp_path, log=Killer(7), save_every=1)
    assert told(tuned(split, checkpoint=tmp_path, save_every=1)) == told(tuned(split))


def test_a_split_without_validation_pairs_is_refused(split):
    none = recommenders.without(split.valid, split.valid)
    with pytest.raises(ValueError, match="chosen on validation rows, and the data have none"):
        tuned(Split(split.train, none, split.test))


@pytest.mark.parametrize(("name", "kind"), [("kd", "clicks"), ("none", "uniform_ratings")])
def test_clicks_and_ratings_are_searched_too(name, kind):
    given = recommenders.KINDS[kind]()
    data, teacher = given["data"], given["teacher"] if name == "kd" else None
    options = {"task": given["task"], **QUICK, "trials": 2}
    found = recsys.tune(name, given["student"], teacher, data, **options)
    assert {"lr", "weight_decay"} <= found.setting.values.keys()
    assert told(found) == told(
        recsys.tune(name, given["student"], teacher, recommenders.poisoned(data, kind), **options)
    )
