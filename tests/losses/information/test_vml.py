"""VML: the formula, entry by entry."""

from __future__ import annotations

import math
from typing import ClassVar

import torch

from graphkd.losses import VML, vml
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import NODES, STUDENT, TEACHER, assert_value
from tests.losses.information.test_vsd import divergence, softmax
from tests.losses.scene import SAME_WIDTH


def test_vml():
    total = 0.0
    for i in NODES:
        p, q = softmax(STUDENT[i]), softmax(TEACHER[i])
        middle = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
        total += (divergence(p, middle) + divergence(q, middle)) / 2
    assert_value(vml(STUDENT, TEACHER), total / 5)
    assert_value(vml(TEACHER, STUDENT), total / 5)


def test_vml_is_bounded():
    """By log 2, where the predictions have nothing in common, however certain they are."""
    sure = 1000 * torch.eye(3, dtype=torch.float64)
    logits = sure.clone().requires_grad_()
    value = vml(logits, sure.roll(1, 0))
    assert_value(value, math.log(2))
    assert torch.autograd.grad(value, logits)[0].isfinite().all()


class TestVML(Behaviour):
    cases: ClassVar = {
        "VML": Case(VML, at_teacher="zero", refused_width=SAME_WIDTH),
    }
