"""Consistency of probabilities, and labels weighted by confidence: the formulas, one node at a time."""

from __future__ import annotations

import math
from typing import ClassVar

import pytest
import torch

from graphkd.losses import ConfidenceWeighted, Consistency, cross_entropy
from graphkd.losses.consistency import confidence_weighted, consistency
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import LABELS, NODES, STUDENT, TEACHER, assert_value
from tests.losses.test_response import CLASSES, softmax


def test_consistency():
    squares = 0.0
    for i in NODES:
        p, q = softmax(STUDENT[i]), softmax(TEACHER[i])
        squares += sum((p[c] - q[c]) ** 2 for c in CLASSES)
    assert_value(consistency(STUDENT, TEACHER), squares / 3)
    assert_value(Consistency()(STUDENT, TEACHER), squares / 15)


def test_warm_up():
    loss = Consistency(warm_up=4).double()
    whole = float(loss(STUDENT, TEACHER))
    for epoch in (0, 1, 3, 4, 9):
        loss.set_epoch(epoch, 10)
        want = math.exp(-5 * (1 - min(epoch / 4, 1)) ** 2) * whole
        assert float(loss(STUDENT, TEACHER)) == pytest.approx(want)
    with pytest.raises(ValueError, match="'warm_up' must be at least 0, got -1"):
        Consistency(warm_up=-1)


def test_confidence_weighted():
    confidences = [max(softmax(TEACHER[i])) for i in NODES]
    entropies = [-math.log(softmax(STUDENT[i])[int(LABELS[i])]) for i in NODES]
    want = sum(c * e for c, e in zip(confidences, entropies, strict=True)) / sum(confidences)
    assert_value(confidence_weighted(STUDENT, TEACHER, LABELS), want)
    assert_value(ConfidenceWeighted()(STUDENT, TEACHER, y=LABELS), want)
    torch.testing.assert_close(confidence_weighted(STUDENT, 0 * TEACHER, LABELS), cross_entropy(STUDENT, LABELS))


class TestConsistency(Behaviour):
    refused_width = r"'teacher' must be as wide as 'student' \(3\), got 4"
    cases: ClassVar = {
        "Consistency": Case(Consistency, at_teacher="zero", refused_width=refused_width),
        "ConfidenceWeighted": Case(ConfidenceWeighted, refused_width=refused_width),
    }
