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


@pytest.mark.parametrize("epochs", [10, 200])
def test_it_rises_over_a_share_of_training(epochs):
    loss = Consistency(ramp=0.4).double()
    whole = float(loss(STUDENT, TEACHER))
    for share in (0.0, 0.1, 0.3, 0.4, 0.9):
        loss.set_epoch(round(share * epochs), epochs)
        want = math.exp(-5 * (1 - min(share / 0.4, 1)) ** 2) * whole
        assert float(loss(STUDENT, TEACHER)) == pytest.approx(want)
    for wrong in (-0.1, 5):
        with pytest.raises(ValueError, match=rf"'ramp' must be in \[0, 1\], a share of training, got {wrong}"):
            Consistency(ramp=wrong)


class TestConsistency(Behaviour):
    cases: ClassVar = {
        "Consistency": Case(Consistency, at_teacher="zero", refused_width=SAME_WIDTH),
    }
