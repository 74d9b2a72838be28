"""Virtual teachers: the formula, one node and one class at a time."""

from __future__ import annotations

import math
from functools import partial
from typing import ClassVar

import pytest

from graphkd.losses import LabelSmoothing, VirtualTeacher, virtual_teacher
from graphkd.losses.response.virtual_teacher import virtual_teacher_method
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import CLASSES, LABELS, NODES, STUDENT, assert_value, softmax
from tests.losses.methods import problem, stages, trained
from tests.losses.scene import LABELS_REFUSED


@pytest.mark.parametrize("form", ["code", "paper"])
def test_virtual_teacher(form):
    total = 0.0
    for i in NODES:
        made = [0.9 if c == int(LABELS[i]) else 0.05 for c in CLASSES]
        if form == "code":
            p, q = softmax(made, 5.0), softmax(STUDENT[i])
        else:
            p, q = softmax([math.log(u) for u in made], 5.0), softmax(STUDENT[i], 5.0)
        total += sum(p[c] * math.log(p[c] / q[c]) for c in CLASSES) / (15 if form == "code" else 5)
    assert_value(virtual_teacher(STUDENT, LABELS, 5.0, correct=0.9, form=form), total)
    assert_value(VirtualTeacher(5.0, correct=0.9, form=form)(STUDENT, y=LABELS), total)


def test_a_teacher_that_leaves_nothing():
    with pytest.raises(ValueError, match=r"'correct' must leave something .* got 1.0 of 3"):
        virtual_teacher(STUDENT, LABELS, correct=1.0)
    with pytest.raises(ValueError, match=r"'correct' must leave something .* got 0.99 of 1"):
        virtual_teacher(STUDENT[:, :1], LABELS * 0)


@pytest.mark.parametrize(("loss", "knob"), [(LabelSmoothing, "spread"), (VirtualTeacher, "form")])
def test_wrong_choice(loss, knob):
    with pytest.raises(ValueError, match=f"'{knob}' must be one of .* got 'most'"):
        loss(**{knob: "most"})


def test_the_methods_weights():
    (labels, _), (weight, loss) = virtual_teacher_method(problem(), alpha=0.25, multiplier=8.0).parts()
    assert (labels, weight) == (0.75, 2.0)
    assert (loss.where, loss.temperature, loss.correct) == ("train_mask", 20.0, 0.99)


def test_a_student_taught_by_its_own_kind():
    """No other teacher is needed; the second stage has soft targets of the first."""
    result = trained("tf_kd_self", teacher=None)
    assert stages(result) == ["alone", "taught"]
    keys = {report["stage"]: set(report) for report in result.history}
    assert {"ce", "kl"} & keys["alone"] == {"ce"}
    assert {"ce", "kl"} <= keys["taught"]


class TestVirtualTeacher(Behaviour):
    cases: ClassVar = {
        "VirtualTeacher": Case(VirtualTeacher, refused=LABELS_REFUSED),
        "VirtualTeacher_paper": Case(partial(VirtualTeacher, 4.0, form="paper"), refused=LABELS_REFUSED),
    }
