"""Information potentials: the formula, class by class and pair by pair."""

from __future__ import annotations

import math
from functools import partial
from typing import ClassVar

import pytest

from graphkd.losses import QMI, information_potentials, qmi
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import LABELS, NODES, STUDENT, WIDE_TEACHER, assert_value, dot, unit


def potentials(x, y, kernel, variance):
    def k(i, j):
        if kernel == "cosine":
            return (dot(unit(x[i]), unit(x[j])) + 1) / 2
        return math.exp(-sum(float(a - b) ** 2 for a, b in zip(x[i], x[j], strict=True)) / (2 * variance))

    classes = {label: [i for i in NODES if y[i] == label] for label in y}
    everything = sum(k(i, j) for i in NODES for j in NODES)
    within = sum(k(i, j) for rows in classes.values() for i in rows for j in rows)
    share = {label: len(rows) / 5 for label, rows in classes.items()}
    between = sum(share[label] * k(i, j) for label, rows in classes.items() for i in rows for j in NODES)
    return within / 25, sum(p**2 for p in share.values()) * everything / 25, between / 25


@pytest.mark.parametrize("kernel", ["cosine", "rbf"])
def test_potentials(kernel):
    for x in (STUDENT, WIDE_TEACHER):
        got = information_potentials(x, 7 - 3 * LABELS, kernel, variance=1.5)
        want = potentials(x, LABELS.tolist(), kernel, 1.5)
        for one, other in zip(got, want, strict=True):
            assert_value(one, other)
        assert_value(got.information(), want[0] + want[1] - 2 * want[2])


@pytest.mark.parametrize("kernel", ["cosine", "rbf"])
def test_qmi(kernel):
    sides = [potentials(x, LABELS.tolist(), kernel, 1.5) for x in (STUDENT, WIDE_TEACHER)]
    want = sum((s - t) ** 2 for s, t in zip(*sides, strict=True))
    assert_value(qmi(STUDENT, WIDE_TEACHER, LABELS, kernel, variance=1.5), want)
    known = information_potentials(WIDE_TEACHER, LABELS, kernel, variance=1.5)
    assert_value(qmi(STUDENT, known, LABELS, kernel, variance=1.5), want)


def test_one_class_has_no_information():
    for kernel in ("cosine", "rbf"):
        assert abs(information_potentials(STUDENT, 0 * LABELS, kernel).information()) < 1e-15


def test_refusals():
    with pytest.raises(ValueError, match=r"'kernel' must be one of \('cosine', 'rbf'\), got 'student_t'"):
        QMI("student_t")
    with pytest.raises(ValueError, match=r"'variance' must be positive, got -1"):
        QMI(variance=-1)
    with pytest.raises(ValueError, match=r"'y' must hold 5 integer labels, got torch.int64 of shape \(4,\)"):
        information_potentials(STUDENT, LABELS[:4])


class TestQMI(Behaviour):
    cases: ClassVar = {
        "QMI": Case(QMI, at_teacher="zero"),
        "QMI_rbf": Case(partial(QMI, "rbf"), at_teacher="zero"),
    }
