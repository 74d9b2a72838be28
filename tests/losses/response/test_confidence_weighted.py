"""Labels weighted by confidence: the formula, one node at a time."""

from __future__ import annotations

import math
from typing import ClassVar

import torch

from graphkd.losses import ConfidenceWeighted, cross_entropy
from graphkd.losses.response.confidence_weighted import confidence_weighted
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import LABELS, NODES, STUDENT, TEACHER, assert_value, softmax
from tests.losses.scene import SAME_WIDTH


def test_confidence_weighted():
    confidences = [max(softmax(TEACHER[i])) for i in NODES]
    entropies = [-math.log(softmax(STUDENT[i])[int(LABELS[i])]) for i in NODES]
    want = sum(c * e for c, e in zip(confidences, entropies, strict=True)) / sum(confidences)
    assert_value(confidence_weighted(STUDENT, TEACHER, LABELS), want)
    assert_value(ConfidenceWeighted()(STUDENT, TEACHER, y=LABELS), want)
    torch.testing.assert_close(confidence_weighted(STUDENT, 0 * TEACHER, LABELS), cross_entropy(STUDENT, LABELS))


class TestConfidenceWeighted(Behaviour):
    cases: ClassVar = {
        "ConfidenceWeighted": Case(ConfidenceWeighted, refused_width=SAME_WIDTH),
    }
