"""Projection matching: the formulas, pair by pair."""

from __future__ import annotations

import math
from functools import partial
from typing import ClassVar

import pytest
import torch

from graphkd.losses import CMPC, CMPM, cmpc, cmpm
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import LABELS, NODES, STUDENT, TEACHER, assert_value, dot, unit


def one_way(one, other, labels, eps=1e-8):
    total = 0.0
    for i in NODES:
        weights = [math.exp(dot(one[i], unit(other[j]))) for j in NODES]
        same = [labels[j] == labels[i] for j in NODES]
        for weight, match in zip(weights, same, strict=True):
            p = weight / sum(weights)
            total += p * math.log(p / (match / sum(same) + eps))
    return total / 5


def projected(one, other, labels, weight):
    """Cross-entropy of rows projected onto those of the other view."""
    total = 0.0
    for i in NODES:
        direction = unit(other[i])
        length = dot(one[i], direction)
        scores = [dot(unit(row), direction) * length for row in weight]
        total += math.log(sum(math.exp(z) for z in scores)) - scores[labels[i]]
    return total / 5


@pytest.mark.parametrize("labels", [LABELS, None], ids=["labels", "identities"])
def test_cmpm(labels):
    y = list(NODES) if labels is None else labels.tolist()
    want = one_way(STUDENT, TEACHER, y) + one_way(TEACHER, STUDENT, y)
    assert_value(cmpm(STUDENT, TEACHER, labels), want)


def test_names_of_labels_do_not_matter():
    assert_value(cmpm(STUDENT, TEACHER, 1000 - 7 * LABELS), float(cmpm(STUDENT, TEACHER, LABELS)))


def test_cmpc():
    torch.manual_seed(0)
    loss = CMPC(3, 3).double()
    weight, y = loss.weight.detach(), LABELS.tolist()
    want = projected(STUDENT, TEACHER, y, weight) + projected(TEACHER, STUDENT, y, weight)
    assert_value(loss(STUDENT, TEACHER, y=LABELS), want)
    assert_value(cmpc(STUDENT, TEACHER, LABELS, 3 * weight), want)


def test_both_views_get_a_gradient():
    views = [STUDENT.clone().requires_grad_(), TEACHER.clone().requires_grad_()]
    for value in (cmpm(*views, LABELS), cmpc(*views, LABELS, torch.eye(3, dtype=torch.float64))):
        assert all(gradient.any() for gradient in torch.autograd.grad(value, views))


def test_labels_must_be_in_range():
    with pytest.raises(ValueError, match=r"'y' must hold labels in \[0, 2\), got labels from 0 to 2"):
        cmpc(STUDENT, TEACHER, LABELS, torch.ones(2, 3, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"'y' must hold 5 integer labels, got torch\.float32 of shape \(5,\)"):
        cmpm(STUDENT, TEACHER, LABELS.float())


# ---------------------------------------------------------------- behaviour
SAME_WIDTH = r"'teacher' must be as wide as 'student' \(3\), got 4"


class TestMatching(Behaviour):
    cases: ClassVar = {
        "CMPM": Case(CMPM, refused_width=SAME_WIDTH),
        "CMPC": Case(partial(CMPC, 3, 3), refused_width=SAME_WIDTH),
    }
