"""Distance of numbers: the formula, one node and one number at a time."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch

from graphkd.losses import NumberDistance, SquaredError, number_distance, squared_error
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import CLASSES, NODES, STUDENT, TARGETS, TEACHER, assert_value
from tests.losses.scene import SAME_WIDTH

SCALE = torch.tensor([0.5, 2.0, 4.0], dtype=torch.float64)


def distance_of(student, target, scale):
    return sum(float((student[i][c] - target[i][c]) / scale[c]) ** 2 for i in NODES for c in CLASSES) / len(NODES)


def test_number_distance():
    one = torch.ones(3)
    assert_value(number_distance(STUDENT, TEACHER), distance_of(STUDENT, TEACHER, one))
    assert_value(NumberDistance()(STUDENT, TEACHER, y_scale=SCALE), distance_of(STUDENT, TEACHER, SCALE))
    with pytest.raises(ValueError, match=r"'teacher' must be as wide as 'student' \(3\), got 1"):
        number_distance(STUDENT, TEACHER[:, :1])


def test_labels_are_compared_in_the_same_units():
    assert_value(SquaredError()(STUDENT, y=TARGETS, y_scale=SCALE), distance_of(STUDENT, TARGETS, SCALE))


def test_targets_that_are_not_known_count_for_nothing():
    hidden = TARGETS.clone()
    hidden[1, 2] = hidden[3] = torch.nan
    student = STUDENT.clone().requires_grad_()
    squared_error(student, hidden, y_scale=SCALE).backward()
    known = torch.where(hidden.isnan(), STUDENT, TARGETS)
    assert_value(squared_error(STUDENT, hidden, y_scale=SCALE), distance_of(STUDENT, known, SCALE))
    torch.testing.assert_close(student.grad, 2 * (STUDENT - known) / SCALE**2 / 5)


class TestNumberDistance(Behaviour):
    cases: ClassVar = {"NumberDistance": Case(NumberDistance, at_teacher="zero", refused_width=SAME_WIDTH)}
