"""Subclasses: the formula, one pair of nodes at a time."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import pytest
import torch

from graphkd.losses import OSKD
from graphkd.losses.features.oskd import subclass_separation
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import LABELS, NODES, STUDENT, TEACHER, assert_value
from tests.losses.scene import SAME_WIDTH


def square(i, j):
    return sum(float(a - b) ** 2 for a, b in zip(STUDENT[i], TEACHER[j], strict=True))


@pytest.mark.parametrize(("k", "margin"), [(1, 2.0), (1, 8.0), (3, 8.0)])
def test_formula(k, margin):
    """Node 0 is alone in its class."""
    want = 0.0
    for i in NODES:
        same = sorted((j for j in NODES if j != i and LABELS[j] == LABELS[i]), key=lambda j, i=i: square(i, j))[:k]
        others = [j for j in NODES if j != i and j not in same]
        pull = sum(square(i, j) for j in same) / max(len(same), 1)
        want += (pull + sum(max(0.0, margin - square(i, j)) for j in others) / len(others)) / 5
    assert_value(subclass_separation(STUDENT, TEACHER, LABELS, k, margin=margin), want)
    assert_value(OSKD(k, margin=margin)(STUDENT, TEACHER, y=LABELS), want)


def test_further_nodes_of_the_class_are_another_subclass():
    x = torch.tensor([[0.0], [0.1], [0.9], [1.0]], requires_grad=True)
    subclass_separation(x, x.detach(), torch.zeros(4, dtype=torch.long), k=1, margin=2.0).backward()
    assert x.grad[1] > 0 > x.grad[2]


def test_k():
    for make in (OSKD, partial(subclass_separation, STUDENT, TEACHER, LABELS)):
        with pytest.raises(ValueError, match="'k' must be at least 1, got 0"):
            make(0)


class TestOSKD(Behaviour):
    cases: ClassVar = {"OSKD": Case(partial(OSKD, 2, margin=3.0), refused_width=SAME_WIDTH)}
