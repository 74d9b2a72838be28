"""The teacher where it is right: the formula, one node and one class at a time."""

from __future__ import annotations

import math
from functools import partial
from typing import ClassVar

import pytest

from graphkd.losses import ConditionalTS, conditional_teacher_student, is_right
from graphkd.losses.response.conditional_ts import conditional_ts_method
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import CLASSES, LABELS, NODES, STUDENT, TEACHER, assert_value, softmax
from tests.losses.methods import problem
from tests.losses.scene import SAME_WIDTH


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_conditional_teacher_student(temperature):
    total, right = 0.0, []
    for i in NODES:
        answer = max(CLASSES, key=lambda c: float(TEACHER[i, c]))
        right.append(answer == int(LABELS[i]))
        if right[-1]:
            p, q = softmax(TEACHER[i], temperature), softmax(STUDENT[i], temperature)
            total -= sum(p[c] * math.log(q[c]) for c in CLASSES) / 5
        else:
            total -= math.log(softmax(STUDENT[i])[LABELS[i]]) / 5
    assert {True, False} == set(right)
    assert is_right(TEACHER, LABELS).tolist() == right
    assert_value(conditional_teacher_student(STUDENT, TEACHER, LABELS, temperature), total)
    assert_value(ConditionalTS(temperature)(STUDENT, TEACHER, y=LABELS), total)


def test_the_method_has_the_teacher_alone_where_no_label_is():
    (_, seen), (_, unseen) = conditional_ts_method(problem(), temperature=2.0).parts()
    assert (seen.where, unseen.where) == ("train_mask", "~train_mask")
    assert (seen.temperature, unseen.temperature) == (2.0, 2.0)


class TestConditionalTS(Behaviour):
    cases: ClassVar = {
        "ConditionalTS": Case(partial(ConditionalTS, 2.0), refused_width=SAME_WIDTH),
    }
