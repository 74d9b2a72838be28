"""Binary cross-entropy: the formula, one node and one label at a time."""

from __future__ import annotations

import math
from typing import ClassVar

import pytest
import torch

from graphkd.losses import BCE, binary_cross_entropy
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import CLASSES, LABELS, NODES, STUDENT, TARGETS, assert_value, sigmoid


def entropy_of(targets, student):
    """Mean binary cross-entropy of logits with targets."""
    terms = []
    for i in NODES:
        for c in CLASSES:
            p, y = sigmoid(student[i][c]), float(targets[i][c])
            terms.append(-y * math.log(p) - (1 - y) * math.log(1 - p))
    return sum(terms) / len(terms)


def test_binary_cross_entropy():
    assert_value(binary_cross_entropy(STUDENT, TARGETS), entropy_of(TARGETS, STUDENT))
    assert_value(BCE()(STUDENT, y=TARGETS), entropy_of(TARGETS, STUDENT))


def test_binary_cross_entropy_of_integer_labels():
    labels = (TARGETS > 0.5).long()
    assert_value(BCE()(STUDENT, y=labels), entropy_of(labels, STUDENT))


def test_wrong_targets():
    with pytest.raises(ValueError, match=r"'y' must have the shape of the logits, \(5, 3\), got \(5,\)"):
        binary_cross_entropy(STUDENT, LABELS)


def several(graph, width):
    """Labels of which a node may have none or many."""
    return {"y": (torch.arange(graph.num_nodes * width).reshape(-1, width) % 3 == 0).double()}


class TestBCE(Behaviour):
    cases: ClassVar = {
        "BCE": Case(BCE, facts=several, refused=r"'y' must have the shape of the logits, \(6, 3\), got \(5, 3\)"),
    }
