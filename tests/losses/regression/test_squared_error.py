"""Squared error of the labels: the formula, one node at a time."""

from __future__ import annotations

from typing import ClassVar

import pytest

from graphkd.losses import SquaredError, squared_error
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import NODES, STUDENT, TARGETS, assert_value
from tests.losses.regression.test_teacher_bounded import error, numbers, squared


def test_squared_error():
    want = sum(squared(STUDENT[i], TARGETS[i]) for i in NODES) / 5
    assert_value(squared_error(STUDENT, TARGETS), want)
    assert_value(SquaredError()(STUDENT, y=TARGETS), want)
    with pytest.raises(ValueError, match=r"outputs of a regression must have shape \(N, k\).* got \(5,\)"):
        squared_error(STUDENT[:, 0], TARGETS)
    with pytest.raises(ValueError, match=r"'y' must have the shape of the outputs, \(5, 3\), got \(5, 1\)"):
        squared_error(STUDENT, TARGETS[:, :1])


class TestSquaredError(Behaviour):
    cases: ClassVar = {
        "SquaredError": Case(SquaredError, facts=numbers, distance=error, refused="'y' must have the shape"),
    }
