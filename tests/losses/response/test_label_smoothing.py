"""Smoothed labels: the formula, one node and one class at a time."""

from __future__ import annotations

import math
from functools import partial
from typing import ClassVar

import pytest
import torch.nn.functional as F

from graphkd.losses import LabelSmoothing, label_smoothing
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import CLASSES, LABELS, NODES, STUDENT, assert_value, softmax
from tests.losses.scene import LABELS_REFUSED


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


class TestLabelSmoothing(Behaviour):
    cases: ClassVar = {
        "LabelSmoothing": Case(LabelSmoothing, refused=LABELS_REFUSED),
        "LabelSmoothing_others": Case(partial(LabelSmoothing, spread="others"), refused=LABELS_REFUSED),
    }
