"""NOSMOG's similarity: the formula, one pair of nodes at a time."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import torch

from graphkd.losses import RSD, representational_similarity
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import NODES, STUDENT, WIDE_TEACHER, assert_value, dot


def test_representational_similarity():
    torch.manual_seed(0)
    loss = RSD(3).double()
    weight, bias = loss.head.weight.detach(), loss.head.bias.detach()
    encoded = [[max(dot(w, STUDENT[i]) + float(b), 0.0) for w, b in zip(weight, bias, strict=True)] for i in NODES]
    pairs = [(i, j) for i in NODES for j in NODES]
    errors = [dot(encoded[i], encoded[j]) - dot(WIDE_TEACHER[i], WIDE_TEACHER[j]) for i, j in pairs]
    want = sum(error**2 for error in errors) / 25
    assert_value(loss(STUDENT, WIDE_TEACHER), want)
    assert_value(representational_similarity(torch.tensor(encoded, dtype=torch.float64), WIDE_TEACHER), want)


def test_dropout_while_training():
    torch.manual_seed(0)
    loss = RSD(3, dropout=0.5).double()
    assert len({float(loss(STUDENT, WIDE_TEACHER).detach()) for _ in range(5)}) > 1
    loss.eval()
    assert len({float(loss(STUDENT, WIDE_TEACHER).detach()) for _ in range(5)}) == 1


class TestRSD(Behaviour):
    cases: ClassVar = {"RSD": Case(partial(RSD, 3))}
