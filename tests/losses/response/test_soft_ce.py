"""Cross-entropy with soft targets: the formula, one node and one class at a time."""

from __future__ import annotations

import math
from functools import partial
from typing import ClassVar

import pytest
import torch

from graphkd.losses import ConditionalTS, SoftCE, kl, soft_cross_entropy
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import CLASSES, NODES, STUDENT, TEACHER, assert_value, softmax
from tests.losses.scene import SAME_WIDTH, apart

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


def test_class_weights_of_other_classes():
    with pytest.raises(ValueError, match=r"'class_weights' must hold one of each of the 3 classes, got shape \(2,\)"):
        SoftCE(class_weights=(1.0, 2.0))(STUDENT, TEACHER)


@pytest.mark.parametrize("loss", [SoftCE, ConditionalTS])
def test_wrong_temperature(loss):
    with pytest.raises(ValueError, match="'temperature' must be positive, got 0"):
        loss(0)


class TestSoftCE(Behaviour):
    cases: ClassVar = {
        "SoftCE": Case(SoftCE, at_teacher="least", distance=apart, refused_width=SAME_WIDTH),
        "SoftCE_weighted": Case(partial(SoftCE, 4.0, class_weights=WEIGHTS), refused_width=SAME_WIDTH),
    }
