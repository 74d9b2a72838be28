"""Attentive imitation and hints: the formulas, one node at a time."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch

from graphkd.losses import AttentiveHint, AttentiveImitation, attentive_hint, attentive_imitation, imitation_weights
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import NODES, STUDENT, TARGETS, TEACHER, WIDE_TEACHER, assert_value
from tests.losses.regression.test_teacher_bounded import numbers, squared
from tests.losses.scene import SAME_WIDTH


def shares(bounds, clamp):
    errors = [squared(TEACHER[i], TARGETS[i]) for i in NODES]
    low, high = bounds or (min(errors), max(errors))
    weights = [1 - e / (high - low) for e in errors]
    return [max(w, 0.0) for w in weights] if clamp else weights


@pytest.mark.parametrize("bounds", [None, (0.1, 2.0)])
@pytest.mark.parametrize("clamp", [True, False])
def test_attentive_imitation(bounds, clamp):
    weights = shares(bounds, clamp)
    torch.testing.assert_close(
        imitation_weights(TEACHER, TARGETS, bounds, clamp=clamp), torch.tensor(weights, dtype=torch.float64)
    )
    total = 0.0
    for i in NODES:
        total += 0.3 * squared(STUDENT[i], TARGETS[i]) / 5 + 0.7 * weights[i] * squared(STUDENT[i], TEACHER[i]) / 5
    knobs = {"error_range": bounds, "clamp": clamp}
    assert_value(attentive_imitation(STUDENT, TEACHER, TARGETS, 0.3, **knobs), total)
    assert_value(AttentiveImitation(0.3, **knobs)(STUDENT, TEACHER, y=TARGETS), total)


def test_attentive_hint():
    hidden = WIDE_TEACHER.flip(0)
    weights = shares((0.1, 2.0), clamp=True)
    total = sum(weights[i] * squared(hidden[i], WIDE_TEACHER[i]) for i in NODES) / 5
    assert_value(attentive_hint(hidden, WIDE_TEACHER, TEACHER, TARGETS, error_range=(0.1, 2.0)), total)
    loss = AttentiveHint(error_range=(0.1, 2.0))
    assert_value(loss((hidden, STUDENT), (WIDE_TEACHER, TEACHER), y=TARGETS), total)


def test_equal_errors_are_imitated():
    assert imitation_weights(TARGETS + 1, TARGETS).tolist() == [1.0] * 5


class TestAttentive(Behaviour):
    cases: ClassVar = {
        "AttentiveImitation": Case(AttentiveImitation, facts=numbers, refused_width=SAME_WIDTH),
        "AttentiveHint": Case(AttentiveHint, facts=numbers, refused_width=SAME_WIDTH),
    }
