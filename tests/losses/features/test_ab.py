"""Activation boundaries: the formula, one node and one unit at a time."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import pytest
import torch

from graphkd.losses import AB, activation_boundaries
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import STUDENT, TEACHER, WIDE_TEACHER, assert_value, dot
from tests.losses.methods import stages, trained
from tests.losses.scene import SAME_WIDTH


def hinge(student, teacher, margin):
    pairs = [
        (float(s), float(t)) for row, twin in zip(student, teacher, strict=True) for s, t in zip(row, twin, strict=True)
    ]
    return sum(max(0, margin - s) ** 2 if t > 0 else max(0, margin + s) ** 2 for s, t in pairs) / len(student)


@pytest.mark.parametrize("margin", [0.5, 1.0])
def test_activation_boundaries(margin):
    want = hinge(STUDENT, TEACHER, margin)
    assert_value(activation_boundaries(STUDENT, TEACHER, margin), want)
    assert_value(AB(margin=margin)(STUDENT, TEACHER), want)


def test_activation_boundaries_with_a_connector():
    """Linear without bias, and batch norm with the statistics of the batch."""
    torch.manual_seed(0)
    loss = AB(3, 5).double()
    weight = loss.connector[0].weight.detach()
    columns = []
    for k in range(5):
        column = [dot(weight[k], row) for row in STUDENT]
        mean = sum(column) / 5
        variance = sum((value - mean) ** 2 for value in column) / 5
        columns.append([(value - mean) / (variance + 1e-5) ** 0.5 for value in column])
    assert_value(loss(STUDENT, WIDE_TEACHER), hinge(list(zip(*columns, strict=True)), WIDE_TEACHER, 1.0))


def test_layers_of_activation_boundaries():
    """The deepest counts fully, each one above it half as much."""
    losses = AB.layers(("first", "second", "third"), margin=0.5)
    assert [loss.on for _, loss in losses.parts()] == ["first", "second", "third"]
    assert [weight for weight, _ in losses.parts()] == pytest.approx([0.75e-3, 1.5e-3, 3e-3])
    assert {loss.margin for _, loss in losses.parts()} == {0.5}


def disagreement(student, teacher, batch):
    """How far units are from a margin beyond zero on the teacher's side."""
    return (1 - student * teacher.sign()).clamp_min(0).sum()


def test_the_method_has_two_stages():
    """The first to its last epoch, by the teacher alone; the second by the labels alone."""
    result = trained("ab")
    assert stages(result) == ["boundaries", "labels"]
    keys = {report["stage"]: set(report) for report in result.history}
    assert {"ab", "ce"} & keys["boundaries"] == {"ab"}
    assert {"ab", "ce"} & keys["labels"] == {"ce"}


class TestAB(Behaviour):
    cases: ClassVar = {
        "AB": Case(AB, distance=disagreement, refused_width=SAME_WIDTH),
        "AB_connector": Case(
            partial(AB, 3, 5),
            (3, 5),
            refused_width=r"'teacher' must be as wide as 'student' \(5\), got 6",
        ),
    }
