"""Every method of recommenders, by its metadata: one training each way."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import recsys
from graphkd import Ensemble, Frozen
from recsys import Split
from recsys.models.clicks import show
from tests.lanes import thinned
from tests.methods import contract, recommenders

_PAIRS, _ROWS = ("cause",), ("hint", "soft_label")  # for factorisations, for autoencoders alone


def kinds(row):
    """The kinds of tasks of a method, those of students of uniform ratings apart."""
    found = [kind for kind in row.tasks if not (kind == "uniform_ratings" and row.name in _ROWS)]
    return [*found, *(["autoencoders"] if "uniform_ratings" in row.tasks and row.name not in _PAIRS else [])]


ROWS = {f"{row.name}-{kind}": replace(row, tasks=(kind,)) for row in recsys.methods() for kind in kinds(row)}


@pytest.fixture
def row(request):
    return ROWS[request.param]


@pytest.mark.parametrize("row", ROWS, indirect=True)
def test_leaves_alone_what_it_is_given(row):
    contract.leaves_alone(row, scene=recommenders)


@pytest.mark.parametrize("row", thinned(ROWS, 4), indirect=True)
def test_a_broken_run_goes_on_to_the_same_bits(row, tmp_path):
    contract.resumes(row, tmp_path, scene=recommenders)


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        (name, kind)
        for kind in ("cached", "ensemble")
        for name, row in ROWS.items()
        if row.teacher and kind not in row.cannot
    ],
    indirect=["row"],
)
def test_takes_other_teachers(row, kind):
    contract.takes_teachers(row, kind, scene=recommenders)


@pytest.mark.parametrize(
    "row", [name for name, row in ROWS.items() if {"uniform_ratings", "autoencoders"} & set(row.tasks)], indirect=True
)
def test_a_uniform_model_may_be_given(row):
    teacher = recommenders.KINDS[row.tasks[0]]()["teacher"]
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    result = recommenders.run(row, teacher=teacher)
    assert "uniform" not in {report["stage"] for report in result.history}
    assert contract.same(teacher.state_dict(), before)
    two = Ensemble([Frozen(each, call=show) for each in (teacher, contract.another(teacher))])
    if "ensemble" in row.cannot:
        with pytest.raises(ValueError, match=row.cannot["ensemble"]):
            recommenders.run(row, teacher=two)
    else:
        assert not recommenders.run(row, teacher=two).model.training


@pytest.mark.parametrize("row", [name for name, row in ROWS.items() if "ranking" in row.tasks], indirect=True)
def test_training_reads_no_held_out_pair(row):
    given = recommenders.arguments(row)
    other = recommenders.split(seed=3)
    poisoned = Split(given["data"].train, other.valid, other.test)
    results = [recommenders.run(row, given, epochs=1, data=data) for data in (given["data"], poisoned)]
    assert contract.same(*map(contract.weights, results))
    assert results[0].scores != results[1].scores


@pytest.mark.parametrize("row", [name for name, row in ROWS.items() if "sequential" in row.tasks], indirect=True)
def test_training_reads_no_held_out_item(row):
    given = recommenders.arguments(row)
    other = recommenders.poisoned(given["data"], "sequential")
    results = [recommenders.run(row, given, epochs=1, data=data) for data in (given["data"], other)]
    assert contract.same(*map(contract.weights, results))
    assert results[0].scores != results[1].scores


def test_another_split_is_refused_by_name(tmp_path):
    row = ROWS["rrd-ranking"]
    recommenders.run(row, checkpoint=tmp_path)
    with pytest.raises(ValueError, match="holds another run: data was Split"):
        recommenders.run(row, checkpoint=tmp_path, resume=True, data=recommenders.split(seed=1))


def test_every_method_says_when_to_choose_it():
    assert [row.name for row in recsys.methods() if "choose it" not in row.summary] == []
    assert torch.isfinite(torch.tensor([value for row in recsys.methods() for value in flat(row.space.values())])).all()


def flat(ranges):
    return [float(value) for pair in ranges for value in pair]
