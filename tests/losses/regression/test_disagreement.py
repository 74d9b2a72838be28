"""What a generator minimises: the formula, one node at a time."""

from __future__ import annotations

from graphkd.losses import disagreement
from tests.losses.example import NODES, STUDENT, TEACHER, WIDE_TEACHER, assert_value
from tests.losses.regression.test_teacher_bounded import squared


def test_disagreement():
    made = WIDE_TEACHER
    total = -sum(squared(STUDENT[i], TEACHER[i]) for i in NODES) / 15
    total += 0.1 * sum(squared(made[i], made[i] * 0) for i in NODES) / 5
    total += 0.01 * sum(squared(STUDENT[i], STUDENT[i] * 0) for i in NODES) / 15
    assert_value(disagreement(STUDENT, TEACHER, made, size=0.1, output=0.01), total)
