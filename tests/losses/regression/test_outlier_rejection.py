"""Teacher outlier rejection: the formula, one node at a time."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from graphkd.losses import OutlierRejection, is_inlier, outlier_rejection
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import NODES, STUDENT, TARGETS, TEACHER, assert_value
from tests.losses.regression.test_teacher_bounded import numbers, squared
from tests.losses.scene import SAME_WIDTH


def test_outlier_rejection():
    other = STUDENT.flip(0)
    kept = [squared(TEACHER[i], TARGETS[i]) ** 0.5 <= 1.5 for i in NODES]
    total = sum(kept[i] * squared(STUDENT[i], TARGETS[i]) + 0.3 * squared(other[i], TEACHER[i]) for i in NODES) / 5
    assert {True, False} == set(kept)
    assert is_inlier(TEACHER, TARGETS, 1.5).tolist() == kept
    assert_value(outlier_rejection(STUDENT, other, TEACHER, TARGETS, threshold=1.5, weight=0.3), total)
    assert_value(OutlierRejection(1.5, 0.3)((STUDENT, other), (STUDENT, TEACHER), y=TARGETS), total)


class TestOutlierRejection(Behaviour):
    cases: ClassVar = {
        "OutlierRejection": Case(partial(OutlierRejection, 3.0), facts=numbers, refused_width=SAME_WIDTH),
    }
