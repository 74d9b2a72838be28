"""Confident decisions: the formula, one node at a time."""

from __future__ import annotations

import math
from functools import partial
from typing import ClassVar

from graphkd.losses import PseudoLabel, is_confident, pseudo_label
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import NODES, STUDENT, TEACHER, assert_value, softmax
from tests.losses.scene import SAME_WIDTH


def test_pseudo_label():
    total, sure = 0.0, []
    for i in NODES:
        p = softmax(TEACHER[i])
        sure.append(max(p) >= 0.6)
        if sure[-1]:
            total -= math.log(softmax(STUDENT[i])[p.index(max(p))]) / 5
    assert {True, False} == set(sure)
    assert is_confident(TEACHER, 0.6).tolist() == sure
    assert_value(pseudo_label(STUDENT, TEACHER, 0.6), total)
    assert_value(PseudoLabel(0.6)(STUDENT, TEACHER), total)


class TestPseudoLabel(Behaviour):
    cases: ClassVar = {
        "PseudoLabel": Case(partial(PseudoLabel, 0.5), refused_width=SAME_WIDTH),
    }
