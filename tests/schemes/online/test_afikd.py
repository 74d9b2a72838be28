"""Attended features of peers: the formula by loops, and that it trains."""

from __future__ import annotations

import math

import pytest
import torch

import graphkd
from graphkd.schemes import AttendedFeatures
from tests.core.models import gcn, graph
from tests.losses.example import NODES, STUDENT, TEACHER, dot, softmax
from tests.schemes.online.scene import peers_trained

LOGITS = torch.stack([STUDENT, TEACHER, STUDENT - TEACHER])
HIDDEN = [TEACHER, STUDENT * 2, TEACHER - 1]


def test_attended_features():
    torch.manual_seed(0)
    rule = AttendedFeatures(3, 2, weight=0.5).double()
    got = rule(LOGITS, HIDDEN).terms["features"].detach()
    query, key = (layer.weight.detach().tolist() for layer in (rule.query, rule.key))
    want = 0.0
    for n in NODES:
        for i in range(3):
            others = [j for j in range(3) if j != i]
            q = [dot(row, HIDDEN[i][n]) for row in query]
            shares = softmax([dot(q, [dot(row, HIDDEN[j][n]) for row in key]) / math.sqrt(2) for j in others])
            attended = [sum(a * float(HIDDEN[j][n, d]) for a, j in zip(shares, others, strict=True)) for d in range(3)]
            want += sum((float(HIDDEN[i][n, d]) - attended[d]) ** 2 for d in range(3)) / 45
    assert float(got) == pytest.approx(0.5 * want)


def test_attended_features_train():
    assert "features" in peers_trained(AttendedFeatures(8, 4))


def test_widths_must_agree():
    with pytest.raises(ValueError, match=r"hidden layers of peers must be of one width here, got \[8, 5\]"):
        graphkd.distil("afikd", gcn(1), None, graph(), hidden="convs.0", peers=[gcn(2, width=5)])
