"""Soft targets of several labels: the formula, one node and one label at a time."""

from __future__ import annotations

from typing import ClassVar

from graphkd.losses import SoftBCE, soft_bce
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import STUDENT, TEACHER, assert_value, sigmoid
from tests.losses.response.test_bce import entropy_of
from tests.losses.scene import SAME_WIDTH


def test_soft_bce():
    want = entropy_of([[sigmoid(z) for z in row] for row in TEACHER], STUDENT)
    assert_value(soft_bce(STUDENT, TEACHER), want)
    assert_value(SoftBCE()(STUDENT, TEACHER), want)


def per_label(student, teacher, batch):
    return (student.sigmoid() - teacher.sigmoid()).abs().sum()


class TestSoftBCE(Behaviour):
    cases: ClassVar = {
        "SoftBCE": Case(SoftBCE, at_teacher="least", distance=per_label, refused_width=SAME_WIDTH),
    }
