"""Discriminator against student: the formulas, one row at a time."""

import math

import torch

from graphkd.losses import discrimination, fooling
from tests.losses.example import STUDENT, TEACHER, assert_value, sigmoid

OURS, THEIRS = STUDENT[:, 0], TEACHER[:4, 1]


def test_discrimination():
    want = -sum(math.log(sigmoid(z)) for z in THEIRS) / 4 - sum(math.log(1 - sigmoid(z)) for z in OURS) / 5
    assert_value(discrimination(OURS, THEIRS), want)


def test_fooling():
    assert_value(fooling(OURS), -sum(math.log(sigmoid(z)) for z in OURS) / 5)


def test_a_sure_discriminator_still_teaches():
    logits = torch.tensor([-1000.0], requires_grad=True)
    fooling(logits).backward()
    assert logits.grad.tolist() == [-1.0]
