"""The task of sequences: what it takes, how it judges, and that methods of lists and tables run on it."""

from __future__ import annotations

import pytest
import torch

import recsys
from graphkd import Ensemble, Frozen
from recsys.data import SequenceSplit
from recsys.models import MF, GRU4Rec, SASRec, tables_at
from recsys.tasks import Ranking, Sequential
from tests.recsys.toy_sequences import chain_split

SPLIT = chain_split(users=150)
TASK = Sequential(batch_size=32)


def adam(parameters):
    return torch.optim.Adam(parameters, lr=1e-2)


def sasrec(width=16, seed=0, **options):
    torch.manual_seed(seed)
    return SASRec(SPLIT.num_items, width, max_length=6, **options)


def distil(method, student, teacher, **options):
    given = {"task": TASK, "epochs": 8, "optimizer": adam, "progress": False, **options}
    return recsys.distil(method, student, teacher, given.pop("data", SPLIT), **given)


@pytest.fixture(scope="module")
def teacher():
    return distil("none", sasrec(), None, epochs=15).model


@pytest.mark.slow
@pytest.mark.parametrize("negatives", [None, 20])
@pytest.mark.parametrize("by", ["positions", "rows"])
def test_sasrec_learns_the_ring(negatives, by):
    task = Sequential(batch_size=32 if by == "positions" else 128, negatives=negatives, by=by)
    scores = distil("none", sasrec(), None, task=task, epochs=20).scores["test"]
    assert scores["hit@10"] > 0.8  # a tenth of the steps are jumps
    assert scores["ndcg@10"] > 0.6


@pytest.mark.slow
@pytest.mark.parametrize(
    "make", [lambda: sasrec(4, layers=1, heads=1), lambda: GRU4Rec(SPLIT.num_items, 4, max_length=6)]
)
def test_a_small_student_gains_by_the_teachers_soft_answers(teacher, make):
    """With four of 41 dimensions and few epochs, the student alone is far behind; soft answers say the ring's order."""
    gains = []
    for seed in range(3):
        alone, taught = (
            distil(name, make, guide, seed=seed, epochs=12, **settings).scores["val"]["ndcg@10"]
            for name, guide, settings in (("none", None, {}), ("kd", teacher, {"weight": 3.0}))
        )
        gains.append(taught - alone)
    assert sum(gains) / len(gains) > 0.0


def test_the_task_of_a_sequence_split_is_this_one():
    assert isinstance(recsys.distil("none", sasrec(4), None, SPLIT, epochs=1, progress=False).scores["test"], dict)
    with pytest.raises(TypeError, match="sequences are learnt from"):
        TASK.prepare(SPLIT.pairs())
    assert TASK.prepare(SPLIT) is SPLIT
    assert [TASK.has(part, SPLIT) for part in ("val", "test")] == [True, True]


def test_a_teacher_is_kept_as_the_states_of_all_rows(teacher):
    seen = {}

    def method(problem):
        seen["tables"] = problem.teacher.model.tables()
        seen["batch"] = problem.batch_size
        seen["top"] = problem.top_items(5)
        return problem.supervised()

    distil(method, sasrec(4, layers=1, heads=1), teacher, epochs=1)
    state, item = seen["tables"]
    assert state.shape == (len(SPLIT.train) + 1, 16)
    assert seen["batch"] == round(len(SPLIT.train) / -(-len(SPLIT.train.windows) // 32))
    scores = state[1:] @ item.t()
    scores[:, 0] = scores[torch.arange(len(SPLIT.train)), SPLIT.train.targets] = -torch.inf
    assert torch.equal(seen["top"][1:].long(), scores.topk(5).indices)


def test_several_teachers_count_as_their_mean(teacher):
    found = {}

    def method(problem):
        found["width"] = problem.width_of(problem.teacher)
        return problem.supervised() + problem.soft()

    distil(method, sasrec(4), Ensemble([Frozen(teacher), Frozen(sasrec(8, seed=3).eval())]), epochs=1)
    assert found["width"] == 24


@pytest.mark.slow
def test_a_factorisation_learns_from_the_tables_of_a_sequential_model(teacher):
    tables, pairs = tables_at(teacher, SPLIT), SPLIT.pairs()
    scores = {}
    for name, guide in (("none", None), ("rrd", tables)):
        torch.manual_seed(0)
        student = MF(tables.num_users, tables.num_items, 8)
        task = Ranking(batch_size=64, metrics=("ndcg@10",))
        settings = {} if guide is None else {"k": 5, "l": 10, "weight": 0.05}
        options = {"task": task, "optimizer": adam, "progress": False, "epochs": 40, "metric_every": 5}
        scores[name] = recsys.distil(name, student, guide, pairs, **options, **settings).scores["test"]["ndcg@10"]
    assert scores["rrd"] > scores["none"] + 0.05


@pytest.mark.parametrize("name", ["hetcomp", "irrrd", "dcd_items"])
def test_methods_that_read_the_users_of_an_item_are_refused_by_name(name, teacher):
    with pytest.raises(ValueError, match=rf"'{name}' is for ranking, not for sequential data.*'rrd'"):
        distil(name, sasrec(4), teacher)


def test_a_method_of_clicks_is_refused_too(teacher):
    with pytest.raises(ValueError, match="'rocket' is for clicks, not for sequential data; for sequential data there"):
        distil("rocket", sasrec(4), teacher)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"student": MF(3, 4, 2)}, TypeError, "'student' must be a recsys.models.SequentialRecommender"),
        ({"student": lambda: MF(3, 4, 2)}, TypeError, "'student' must be a recsys.models.SequentialRecommender"),
        ({"teacher": MF(3, 4, 2)}, TypeError, "'teacher' must be a recsys.models.SequentialRecommender"),
        ({"teacher": SASRec(9, 4)}, ValueError, "'teacher' must score 41 items"),
        ({"student": SASRec(41, 4, max_length=2)}, ValueError, "'student' must read histories of 6 items"),
        ({"method": "dcd", "side": "both"}, ValueError, "leave out side='items' or 'both'"),
    ],
)
def test_what_is_wrong_is_refused_by_name(change, error, words, teacher):
    given = {"method": "kd", "student": sasrec(4), "teacher": teacher, "epochs": 1, **change}
    with pytest.raises(error, match=words):
        distil(given.pop("method"), given.pop("student"), given.pop("teacher"), **given)


def test_options_that_are_none_are_refused():
    for wrong in ({"seen": "hidden"}, {"by": "users"}):
        with pytest.raises(ValueError, match="must be"):
            Sequential(**wrong)


def test_a_split_without_validation_rows_takes_the_last_epoch():
    short = SequenceSplit.leave_one_out(recsys.data.Sequences.from_events([1, 1, 1, 2, 2, 2], [1, 2, 3, 2, 3, 4]), 3)
    assert not len(short.valid)
    result = recsys.distil("none", SASRec(5, 4, max_length=3), None, short, epochs=2, progress=False)
    assert list(result.scores) == ["test"]
