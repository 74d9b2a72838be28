"""Regressed logits: the formula, one node and one class at a time."""

from __future__ import annotations

from typing import ClassVar

from graphkd.losses import LogitMSE, logit_mse
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import CLASSES, NODES, STUDENT, TEACHER, assert_value
from tests.losses.scene import SAME_WIDTH, apart


def test_logit_mse():
    want = sum((float(STUDENT[i, c]) - float(TEACHER[i, c])) ** 2 for i in NODES for c in CLASSES) / 10
    assert_value(logit_mse(STUDENT, TEACHER), want)
    assert_value(LogitMSE()(STUDENT, TEACHER), want)


class TestLogitMSE(Behaviour):
    cases: ClassVar = {
        "LogitMSE": Case(LogitMSE, at_teacher="zero", distance=apart, refused_width=SAME_WIDTH),
    }
