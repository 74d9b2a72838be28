"""Projection classification: the formula, row by row."""

from __future__ import annotations

import math
from functools import partial
from typing import ClassVar

import pytest
import torch

from graphkd.losses import CMPC, cmpc
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import LABELS, NODES, STUDENT, TEACHER, WIDE_TEACHER, assert_value, dot, unit
from tests.losses.scene import SAME_WIDTH


def projected(one, other, labels, weight):
    """Cross-entropy of rows projected onto those of the other view."""
    total = 0.0
    for i in NODES:
        direction = unit(other[i])
        length = dot(one[i], direction)
        scores = [dot(unit(row), direction) * length for row in weight]
        total += math.log(sum(math.exp(z) for z in scores)) - scores[labels[i]]
    return total / 5


def test_cmpc():
    torch.manual_seed(0)
    loss = CMPC(3, 3).double()
    weight, y = loss.weight.detach(), LABELS.tolist()
    want = projected(STUDENT, TEACHER, y, weight) + projected(TEACHER, STUDENT, y, weight)
    assert_value(loss(STUDENT, TEACHER, y=LABELS), want)
    assert_value(cmpc(STUDENT, TEACHER, LABELS, 3 * weight), want)


def test_a_student_of_another_width_is_mapped():
    torch.manual_seed(0)
    loss = CMPC(3, 5, 3).double()
    mapped = loss.projector(STUDENT)
    assert mapped.shape == (5, 5)
    assert_value(loss(STUDENT, WIDE_TEACHER, y=LABELS), float(cmpc(mapped, WIDE_TEACHER, LABELS, loss.weight).detach()))


def test_both_views_get_a_gradient():
    views = [STUDENT.clone().requires_grad_(), TEACHER.clone().requires_grad_()]
    assert all(
        gradient.any()
        for gradient in torch.autograd.grad(cmpc(*views, LABELS, torch.eye(3, dtype=torch.float64)), views)
    )


def test_labels_must_be_in_range():
    with pytest.raises(ValueError, match=r"'y' must hold labels in \[0, 2\), got labels from 0 to 2"):
        cmpc(STUDENT, TEACHER, LABELS, torch.ones(2, 3, dtype=torch.float64))


class TestCMPC(Behaviour):
    cases: ClassVar = {
        "CMPC": Case(partial(CMPC, 3, 3), refused_width=SAME_WIDTH),
        "CMPC_projected": Case(partial(CMPC, 3, 3, 3), refused_width=SAME_WIDTH),
    }
