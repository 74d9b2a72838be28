"""Consistency of probabilities: the formula, one node at a time."""

from __future__ import annotations

import math
from typing import ClassVar

import pytest

from graphkd.losses import Consistency
from graphkd.losses.response.consistency import consistency
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import CLASSES, NODES, STUDENT, TEACHER, assert_value, softmax
from tests.losses.scene import SAME_WIDTH


def test_consistency():
    squares = 0.0
    for i in NODES:
        p, q = softmax(STUDENT[i]), softmax(TEACHER[i])
        squares += sum((p[c] - q[c]) ** 2 for c in CLASSES)
    assert_value(consistency(STUDENT, TEACHER), squares / 3)
    assert_value(Consistency()(STUDENT, TEACHER), squares / 15)


def test_warm_up():
    loss = Consistency(warm_up=4).double()
    whole = float(loss(STUDENT, TEACHER))
    for epoch in (0, 1, 3, 4, 9):
        loss.set_epoch(epoch, 10)
        want = math.exp(-5 * (1 - min(epoch / 4, 1)) ** 2) * whole
        assert float(loss(STUDENT, TEACHER)) == pytest.approx(want)
    with pytest.raises(ValueError, match="'warm_up' must be at least 0, got -1"):
        Consistency(warm_up=-1)


class TestConsistency(Behaviour):
    cases: ClassVar = {
        "Consistency": Case(Consistency, at_teacher="zero", refused_width=SAME_WIDTH),
    }
