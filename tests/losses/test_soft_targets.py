"""Cross-entropy with soft targets: the formulas, one node and one class at a time."""

from __future__ import annotations

import math
from functools import partial
from typing import ClassVar

import pytest
import torch

from graphkd.losses import (
    ConditionalTS,
    PseudoLabel,
    SoftCE,
    conditional_teacher_student,
    is_confident,
    is_right,
    kl,
    pseudo_label,
    soft_cross_entropy,
)
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import LABELS, NODES, STUDENT, TEACHER, assert_value
from tests.losses.test_response import CLASSES, WIDTH, apart, softmax

WEIGHTS = (1.5, 1.0, 0.25)


@pytest.mark.parametrize("temperature", [1.0, 20.0])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_soft_cross_entropy(temperature, weights):
    total = 0.0
    for i in NODES:
        p, q = softmax(TEACHER[i], temperature), softmax(STUDENT[i], temperature)
        total -= sum((weights or (1, 1, 1))[c] * p[c] * math.log(q[c]) for c in CLASSES) / 5
    assert_value(SoftCE(temperature, class_weights=weights).double()(STUDENT, TEACHER), total)
    given = None if weights is None else torch.tensor(weights)
    assert_value(soft_cross_entropy(STUDENT, TEACHER, temperature, class_weights=given), total)


def test_it_is_kl_plus_the_teachers_entropy():
    entropy = soft_cross_entropy(TEACHER, TEACHER, 3.0)
    kept = kl(STUDENT, TEACHER, 3.0, rescale=False) + entropy
    torch.testing.assert_close(soft_cross_entropy(STUDENT, TEACHER, 3.0), kept)


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


def test_class_weights_of_other_classes():
    with pytest.raises(ValueError, match=r"'class_weights' must hold one of each of the 3 classes, got shape \(2,\)"):
        SoftCE(class_weights=(1.0, 2.0))(STUDENT, TEACHER)


@pytest.mark.parametrize("loss", [SoftCE, ConditionalTS])
def test_wrong_temperature(loss):
    with pytest.raises(ValueError, match="'temperature' must be positive, got 0"):
        loss(0)


class TestSoftTargets(Behaviour):
    cases: ClassVar = {
        "SoftCE": Case(SoftCE, at_teacher="least", distance=apart, refused_width=WIDTH),
        "SoftCE_weighted": Case(partial(SoftCE, 4.0, class_weights=WEIGHTS), refused_width=WIDTH),
        "ConditionalTS": Case(partial(ConditionalTS, 2.0), refused_width=WIDTH),
        "PseudoLabel": Case(partial(PseudoLabel, 0.5), refused_width=WIDTH),
    }
