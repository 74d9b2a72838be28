"""Smoothed labels and virtual teachers: the formulas, one node and one class at a time."""

from __future__ import annotations

import math
from functools import partial
from typing import ClassVar

import pytest
import torch.nn.functional as F

from graphkd.losses import LabelSmoothing, VirtualTeacher, label_smoothing, virtual_teacher
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import LABELS, NODES, STUDENT, assert_value
from tests.losses.test_response import CLASSES, softmax


@pytest.mark.parametrize("spread", ["all", "others"])
def test_label_smoothing(spread):
    total = 0.0
    for i in NODES:
        for c in CLASSES:
            hit = c == int(LABELS[i])
            share = 0.3 / 3 + 0.7 * hit if spread == "all" else (0.7 if hit else 0.15)
            total -= share * math.log(softmax(STUDENT[i])[c]) / 5
    assert_value(label_smoothing(STUDENT, LABELS, 0.3, spread=spread), total)
    assert_value(LabelSmoothing(0.3, spread=spread)(STUDENT, y=LABELS), total)


def test_spread_over_all_is_torchs():
    want = F.cross_entropy(STUDENT, LABELS, label_smoothing=0.2)
    assert_value(label_smoothing(STUDENT, LABELS, 0.2), float(want))


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


REFUSED = r"'y' must hold 6 integer labels, got torch.int64 of shape \(5,\)"


class TestSmoothing(Behaviour):
    cases: ClassVar = {
        "LabelSmoothing": Case(LabelSmoothing, refused=REFUSED),
        "LabelSmoothing_others": Case(partial(LabelSmoothing, spread="others"), refused=REFUSED),
        "VirtualTeacher": Case(VirtualTeacher, refused=REFUSED),
        "VirtualTeacher_paper": Case(partial(VirtualTeacher, 4.0, form="paper"), refused=REFUSED),
    }
