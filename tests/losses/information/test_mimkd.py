"""Bounds on mutual information and MIMKD: the formulas, pair by pair."""

from __future__ import annotations

import math
from functools import partial
from typing import ClassVar

import pytest
import torch

from graphkd import Distiller, Frozen
from graphkd.losses import MIMKD, mutual_information
from tests.losses.behaviour import Behaviour, Case, Show
from tests.losses.example import NODES, STUDENT, TEACHER, WIDE_TEACHER, assert_value, dot
from tests.losses.scene import OTHER_WIDTH


def softplus(value):
    return math.log(1 + math.exp(value))


def critic(student, teacher, temperature=1.0):
    return [[dot(s, t) / temperature for t in teacher] for s in student]


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def jensen_shannon(scores, own=NODES):
    positive = mean(-softplus(-scores[i][k]) for i, k in enumerate(own))
    return positive - mean(softplus(g) for i, k in enumerate(own) for j, g in enumerate(scores[i]) if j != k)


def donsker_varadhan(scores, own=NODES):
    return mean(scores[i][k] for i, k in enumerate(own)) - math.log(mean(math.exp(g) for row in scores for g in row))


def nce(scores, own=NODES):
    shares = [math.exp(scores[i][k]) / mean(math.exp(g) for g in scores[i]) for i, k in enumerate(own)]
    return mean(math.log(share) for share in shares)


BOUNDS = {"jensen_shannon": jensen_shannon, "donsker_varadhan": donsker_varadhan, "nce": nce}


@pytest.mark.parametrize("bound", BOUNDS)
def test_bounds(bound):
    got = mutual_information(STUDENT, TEACHER, bound, temperature=0.7)
    assert_value(got, BOUNDS[bound](critic(STUDENT, TEACHER, 0.7)))


@pytest.mark.parametrize("bound", BOUNDS)
def test_bounds_of_parts(bound):
    """Five parts of three objects."""
    own = [0, 2, 1, 1, 0]
    got = mutual_information(STUDENT, TEACHER[:3], bound, own=torch.tensor(own))
    assert_value(got, BOUNDS[bound](critic(STUDENT, TEACHER[:3]), own))


@pytest.mark.parametrize("bound", ["donsker_varadhan", "nce"])
def test_bounds_are_below_what_there_is(bound):
    """Rows that name one of 5 things with certainty: log 5 nats, reached by a sharp critic."""
    sure = 30 * torch.eye(5, dtype=torch.float64)
    assert_value(mutual_information(sure, sure, bound), math.log(5))
    torch.manual_seed(0)
    unrelated = torch.randn(2, 2000, 4, dtype=torch.float64) / 2
    assert -0.5 < mutual_information(*unrelated, bound) < 0.01


def test_nothing_to_contrast_with():
    """One object: the positive alone."""
    assert_value(mutual_information(STUDENT[:1], TEACHER[:1]), -softplus(-dot(STUDENT[0], TEACHER[0])))
    assert_value(mutual_information(STUDENT[:1], TEACHER[:1], "nce"), 0.0)
    for bound in BOUNDS:  # nor anything to contrast
        assert mutual_information(STUDENT[:0], TEACHER[:0], bound) == 0


@pytest.fixture
def heads():
    torch.manual_seed(0)
    return MIMKD(3, 5, 4).double()


def mapped(loss, side, x):
    weight = loss.heads[side].weight.detach()
    return [[dot(row, w) for w in weight] for row in x]


def test_global(heads):
    scores = critic(mapped(heads, 0, STUDENT), mapped(heads, 1, WIDE_TEACHER))
    assert_value(heads(STUDENT, WIDE_TEACHER), -jensen_shannon(scores))


def parts():
    """Two parts of five objects, student and teacher."""
    return torch.stack([STUDENT, STUDENT.flip(0) / 2], 1), torch.stack([WIDE_TEACHER, WIDE_TEACHER.roll(1, 0)], 1)


def test_local(heads):
    student, _ = parts()
    scores = critic(mapped(heads, 0, student.flatten(0, 1)), mapped(heads, 1, WIDE_TEACHER))
    assert_value(heads(student, WIDE_TEACHER), -jensen_shannon(scores, [i for i in NODES for _ in range(2)]))


def test_features(heads):
    student, teacher = parts()
    values = [
        jensen_shannon(critic(mapped(heads, 0, student[:, m]), mapped(heads, 1, teacher[:, m]))) for m in range(2)
    ]
    assert_value(heads(student, teacher), -mean(values))


@pytest.mark.parametrize("batch", [None, torch.tensor([0, 0, 1, 1, 1])])
def test_local_of_two_entries(batch):
    """The student's nodes with the teacher's graphs, or without ``batch`` its nodes with the teacher's last layer."""
    torch.manual_seed(0)
    loss = MIMKD(3, 5, 4, on=("nodes", "graph")).double()
    graphs = WIDE_TEACHER if batch is None else WIDE_TEACHER[:2]
    student, teacher = {"nodes": STUDENT, "graph": graphs}, {"nodes": WIDE_TEACHER, "graph": graphs}
    facts = {} if batch is None else {"batch": batch}
    got = loss.measure(student, loss.digest_view(teacher, facts), facts)
    scores = critic(mapped(loss, 0, STUDENT), mapped(loss, 1, graphs))
    assert_value(got, -jensen_shannon(scores, NODES if batch is None else batch.tolist()))


def test_heads_train_with_the_student():
    student = Show(STUDENT, "hidden")
    distiller = Distiller(student, Frozen(Show(WIDE_TEACHER, "hidden")), MIMKD(3, 5, 4).double())
    assert {name for name, _ in distiller.named_parameters()} == {
        "student.tensor",
        "losses.0.heads.0.weight",
        "losses.0.heads.1.weight",
    }


def test_refusals(heads):
    with pytest.raises(ValueError, match=r"'bound' must be one of \('jensen_shannon', .*\), got 'infonce'"):
        MIMKD(3, 5, bound="infonce")
    with pytest.raises(ValueError, match=r"'temperature' must be positive, got -1"):
        mutual_information(STUDENT, TEACHER, temperature=-1)
    with pytest.raises(ValueError, match=r"'teacher' must have the rows of 'student', \(5,\), got \(4,\)"):
        heads(parts()[0], WIDE_TEACHER[:4])


class TestMIMKD(Behaviour):
    cases: ClassVar = {
        f"MIMKD_{bound}": Case(partial(MIMKD, 3, 5, 4, bound), widths=(3, 5), refused_width=OTHER_WIDTH)
        for bound in BOUNDS
    }
