"""ITRD: the formulas, channel by channel and pair by pair."""

from __future__ import annotations

import math
from functools import partial
from typing import ClassVar

import pytest
import torch

from graphkd.losses import ITRDCorrelation, ITRDMutual, itrd_correlation, itrd_mutual
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import NODES, STUDENT, TEACHER, WIDE_TEACHER, assert_value, dot, unit


def correlations(student, teacher):
    """Of every channel: deviations with N - 1, the product with N."""
    found = []
    for one, other in zip(student.t().tolist(), teacher.t().tolist(), strict=True):
        scores = []
        for column in (one, other):
            mean = sum(column) / 5
            deviation = math.sqrt(sum((v - mean) ** 2 for v in column) / 4)
            scores.append([(v - mean) / deviation for v in column])
        found.append(dot(*scores) / 5)
    return found


def purity(student, teacher):
    """Sum of squares of G_s less that of the joint matrix, each over its squared trace; both traces are 5."""
    s, t = ([unit(row) for row in x] for x in (student, teacher))
    alone = sum(dot(s[i], s[j]) ** 2 for i in NODES for j in NODES)
    joint = sum((dot(s[i], s[j]) * dot(t[i], t[j])) ** 2 for i in NODES for j in NODES)
    return (alone - joint) / 25


# ---------------------------------------------------------------- definitions
@pytest.mark.parametrize("alpha", [1.01, 1.5])
def test_correlation(alpha):
    want = math.log2(sum(abs(c - 1) ** (2 * alpha) for c in correlations(STUDENT, TEACHER)))
    assert_value(itrd_correlation(STUDENT, TEACHER, alpha), want)


def test_correlation_behind_a_map():
    torch.manual_seed(0)
    loss = ITRDCorrelation(3, 5).double()
    want = math.log2(sum(abs(c - 1) ** 3 for c in correlations(loss.projector(STUDENT).detach(), WIDE_TEACHER)))
    assert_value(loss(STUDENT, WIDE_TEACHER), want)


def test_the_least_correlation_is_finite():
    """log2 d - 2 alpha log2 N, since deviations are unbiased."""
    assert_value(itrd_correlation(TEACHER, TEACHER, 1.5), math.log2(3) - 3 * math.log2(5))


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e6])  # their means are not exact
def test_a_constant_channel_is_uncorrelated(constant):
    student = STUDENT.clone()
    student[:, 1] = constant
    student.requires_grad_()
    value = itrd_correlation(student, TEACHER)
    rest = [abs(c - 1) ** 3 for c in correlations(STUDENT[:, ::2], TEACHER[:, ::2])]
    assert_value(value, math.log2(sum(rest) + 1))
    assert not torch.autograd.grad(value, student)[0][:, 1].any()


def test_mutual():
    assert_value(itrd_mutual(STUDENT, WIDE_TEACHER), purity(STUDENT, WIDE_TEACHER))


def test_mutual_behind_a_map():
    torch.manual_seed(0)
    loss = ITRDMutual(3, 5).double()
    assert_value(loss(STUDENT, WIDE_TEACHER), purity(loss.projector(STUDENT).detach(), WIDE_TEACHER))


def test_rows_of_zeros_count_in_no_trace():
    student = torch.cat([STUDENT, torch.zeros(1, 3, dtype=torch.float64)])
    teacher = torch.cat([TEACHER, torch.ones(1, 3, dtype=torch.float64)])
    assert_value(itrd_mutual(student, teacher), purity(STUDENT, TEACHER))


def test_nothing_but_zeros():
    for rows in (0, 2):
        student = torch.zeros(rows, 3, requires_grad=True)
        value = itrd_mutual(student, torch.ones(rows, 3))
        assert value == 0
        assert not torch.autograd.grad(value, student)[0].any()


# ---------------------------------------------------------------- refusals
def test_refusals():
    with pytest.raises(ValueError, match=r"'alpha' must be positive, got 0"):
        ITRDCorrelation(alpha=0)
    with pytest.raises(ValueError, match=r"as wide as 'student' \(3\), got 5; ITRDCorrelation\(student_width, "):
        itrd_correlation(STUDENT, WIDE_TEACHER)
    with pytest.raises(ValueError, match="give both widths or none, got 3 and None"):
        ITRDMutual(3)


# ---------------------------------------------------------------- behaviour
def uncorrelated(student, teacher, batch):
    """How far the channels are from the teacher's, up to scale and offset."""
    return -torch.nn.functional.cosine_similarity(
        student - student.mean(dim=0), teacher - teacher.mean(dim=0), dim=0
    ).mean()


class TestITRD(Behaviour):
    cases: ClassVar = {
        "ITRDCorrelation": Case(
            ITRDCorrelation,
            at_teacher="least",
            distance=uncorrelated,
            refused_width=r"'teacher' must be as wide as 'student' \(3\), got 4; ITRDCorrelation",
        ),
        "ITRDCorrelation_projected": Case(
            partial(ITRDCorrelation, 3, 5, 1.01), widths=(3, 5), refused_width=r"as wide as 'student' \(5\), got 6"
        ),
        "ITRDMutual": Case(ITRDMutual),
        "ITRDMutual_projected": Case(partial(ITRDMutual, 3, 5), widths=(3, 5)),
    }
