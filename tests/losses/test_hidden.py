"""Hints and attention: the formulas, one node and one coordinate at a time."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import pytest
import torch

from graphkd.losses import AT, FitNet, attention_transfer, fitnet
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import NODES, STUDENT, TEACHER, WIDE_TEACHER, assert_value, dot, unit


def mean_squared(one, other):
    pairs = [(a, b) for row, twin in zip(one, other, strict=True) for a, b in zip(row, twin, strict=True)]
    return sum((float(a) - float(b)) ** 2 for a, b in pairs) / len(pairs)


# ---------------------------------------------------------------- definitions
@pytest.mark.parametrize("normalise", [False, True])
def test_fitnet(normalise):
    student, teacher = ([unit(row) if normalise else row for row in x] for x in (STUDENT, TEACHER))
    want = mean_squared(student, teacher)
    assert_value(fitnet(STUDENT, TEACHER, normalise=normalise), want)
    assert_value(FitNet(normalise=normalise)(STUDENT, TEACHER), want)


@pytest.mark.parametrize("normalise", [False, True])
def test_fitnet_with_a_projector(normalise):
    """(1 / N d_t) |W s + b - t|^2, of unit rows where ``normalise``."""
    torch.manual_seed(0)
    loss = FitNet(3, 5, normalise=normalise).double()
    weight, bias = loss.projector.weight.detach(), loss.projector.bias.detach()
    projected = [[dot(weight[k], STUDENT[i]) + float(bias[k]) for k in range(5)] for i in NODES]
    teacher = WIDE_TEACHER
    if normalise:
        projected, teacher = ([unit(row) for row in x] for x in (projected, teacher))
    assert_value(loss(STUDENT, WIDE_TEACHER), mean_squared(projected, teacher))


def test_fitnet_without_widths_has_nothing_to_train():
    assert list(FitNet().parameters()) == []
    assert sorted(FitNet(3, 5).state_dict()) == ["projector.bias", "projector.weight"]


@pytest.mark.parametrize("power", [1.0, 2.0, 3.0])
def test_attention_transfer(power):
    attention = [unit([sum(abs(float(v)) ** power for v in row) for row in x]) for x in (STUDENT, WIDE_TEACHER)]
    want = sum((a - b) ** 2 for a, b in zip(*attention, strict=True)) / 5
    assert_value(attention_transfer(STUDENT, WIDE_TEACHER, power), want)
    assert_value(AT(power)(STUDENT, WIDE_TEACHER), want)


def test_attention_of_several_graphs():
    """Leading dimensions are graphs of equal size, each with a norm of its own."""
    student, teacher = torch.stack([STUDENT, 3 * TEACHER]), torch.stack([TEACHER, STUDENT])
    want = (attention_transfer(STUDENT, TEACHER) + attention_transfer(TEACHER, STUDENT)) / 2
    assert_value(AT()(student, teacher), float(want))


def test_attention_does_not_see_the_scale():
    torch.testing.assert_close(AT()(7 * STUDENT, TEACHER), AT()(STUDENT, TEACHER))


# ---------------------------------------------------------------- refusals
@pytest.mark.parametrize("widths", [(3, None), (None, 3)])
def test_one_width_alone(widths):
    with pytest.raises(ValueError, match=f"give both widths or none, got {widths[0]} and {widths[1]}"):
        FitNet(*widths)


def test_widths_differ_without_a_projector():
    with pytest.raises(ValueError, match=r"as wide as 'student' \(3\), got 5; FitNet\(student_width, teacher_width\)"):
        FitNet()(STUDENT, WIDE_TEACHER)


# ---------------------------------------------------------------- behaviour
def far(student, teacher, batch):
    return (student - teacher).abs().sum()


def angles(student, teacher, batch):
    """Sum of one minus the cosine of the two features of a node."""
    return (1 - torch.cosine_similarity(student, teacher, dim=1)).sum()


def lengths(student, teacher, batch):
    """How far the shares that nodes have in all of the energy are from each other."""
    one, other = (x.square().sum(dim=1) / x.square().sum() for x in (student, teacher))
    return (one - other).abs().sum()


WIDTH = r"'teacher' must be as wide as 'student' \(3\), got 4; FitNet"


class TestHidden(Behaviour):
    cases: ClassVar = {
        "FitNet": Case(FitNet, at_teacher="zero", distance=far, refused_width=WIDTH),
        "FitNet_normalised": Case(
            partial(FitNet, normalise=True), at_teacher="zero", distance=angles, refused_width=WIDTH
        ),
        "FitNet_projector": Case(
            partial(FitNet, 3, 5), (3, 5), refused_width=r"'teacher' must be as wide as 'student' \(5\), got 6"
        ),
        "AT": Case(AT, (3, 5), distance=lengths),
        "AT_linear": Case(partial(AT, 1.0), at_teacher="zero"),
    }
