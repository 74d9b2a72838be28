"""Distances from soft labels: the formulas, one node, one class at a time."""

from __future__ import annotations

import math
from functools import partial
from typing import ClassVar

import pytest
import torch

from graphkd.losses import SoftLabelDistance, SoftLabels, soft_label_distance
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import NODES, STUDENT, TEACHER, assert_value, softmax
from tests.losses.scene import SAME_WIDTH

DISTANCES = ["norm", "norms", "bce", "kl"]


def wanted(distance, decimals=None):
    pairs = []
    for node in NODES:
        q = softmax(TEACHER[node])
        pairs.append((softmax(STUDENT[node]), q if decimals is None else [round(x, decimals) for x in q]))
    squares = [sum((a - b) ** 2 for a, b in zip(p, q, strict=True)) for p, q in pairs]
    entries = [(a, b) for p, q in pairs for a, b in zip(p, q, strict=True)]
    return {
        "norm": math.sqrt(sum(squares)),
        "norms": sum(math.sqrt(square) for square in squares),
        "bce": -sum(b * math.log(a) + (1 - b) * math.log(1 - a) for a, b in entries) / len(entries),
        "kl": sum(b * math.log(b / a) for a, b in entries) / len(entries),
    }[distance]


@pytest.mark.parametrize("decimals", [None, 2])
@pytest.mark.parametrize("distance", DISTANCES)
def test_distance(distance, decimals):
    want = wanted(distance, decimals)
    assert_value(soft_label_distance(STUDENT, TEACHER, distance, decimals=decimals), want)
    assert_value(SoftLabelDistance(distance, decimals=decimals)(STUDENT, TEACHER), want)
    assert_value(soft_label_distance(STUDENT, SoftLabels.of(TEACHER, decimals), distance), want)


def test_labels_of_0_and_1():
    """As the rounded ones of a sure teacher; a sure and wrong student still has a gradient that is a number."""
    taught = SoftLabels(torch.eye(3))
    for distance in DISTANCES:
        student = torch.tensor([[200.0, 0, 0], [200, 0, 0], [0, 0, 0]], requires_grad=True)
        value = soft_label_distance(student, taught, distance)
        (slope,) = torch.autograd.grad(value, student)
        assert value.isfinite()
        assert slope.isfinite().all()


def test_an_unknown_distance():
    with pytest.raises(ValueError, match=r"'distance' must be one of \('norm', 'norms', 'bce', 'kl'\), got 'l2'"):
        SoftLabelDistance("l2")


class TestSoftLabelDistance(Behaviour):
    cases: ClassVar = {
        distance: Case(
            partial(SoftLabelDistance, distance),
            at_teacher="least" if distance == "bce" else "zero",
            refused_width=SAME_WIDTH,
        )
        for distance in DISTANCES
    }
