"""Hints and attention: the formulas, one node and one coordinate at a time."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import pytest
import torch

from graphkd.losses import (
    AB,
    AT,
    FT,
    FitNet,
    HiddenCosine,
    activation_boundaries,
    attention_transfer,
    fitnet,
    hidden_cosine,
)
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import NODES, STUDENT, TEACHER, WIDE_TEACHER, assert_value, dot, norm, unit


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
    assert_value(FitNet(normalise=normalise, reduction="sum")(STUDENT, TEACHER), 15 * want)


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


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_attention_transfer_of_the_paper(power):
    """The norm of the difference, not its mean square."""
    attention = [unit([sum(abs(float(v)) ** power for v in row) for row in x]) for x in (STUDENT, WIDE_TEACHER)]
    want = norm([a - b for a, b in zip(*attention, strict=True)])
    assert_value(attention_transfer(STUDENT, WIDE_TEACHER, power, form="paper"), want)
    several = torch.stack([STUDENT, TEACHER]), torch.stack([TEACHER, TEACHER])
    assert_value(
        AT(power, form="paper")(*several), float(attention_transfer(STUDENT, TEACHER, power, form="paper")) / 2
    )


def test_attention_of_several_graphs():
    """Leading dimensions are graphs of equal size, each with a norm of its own."""
    student, teacher = torch.stack([STUDENT, 3 * TEACHER]), torch.stack([TEACHER, STUDENT])
    want = (attention_transfer(STUDENT, TEACHER) + attention_transfer(TEACHER, STUDENT)) / 2
    assert_value(AT()(student, teacher), float(want))


def test_attention_does_not_see_the_scale():
    torch.testing.assert_close(AT()(7 * STUDENT, TEACHER), AT()(STUDENT, TEACHER))


def test_hidden_cosine():
    want = sum(1 - dot(unit(s), unit(t)) for s, t in zip(STUDENT, TEACHER, strict=True)) / 5
    assert_value(hidden_cosine(STUDENT, TEACHER), want)
    assert_value(HiddenCosine()(3 * STUDENT, TEACHER), want)


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


# ---------------------------------------------------------------- refusals
def test_unknown_form():
    with pytest.raises(ValueError, match=r"'form' must be one of \('code', 'paper'\), got 'book'"):
        AT(form="book")


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


def disagreement(student, teacher, batch):
    """How far units are from a margin beyond zero on the teacher's side."""
    return (1 - student * teacher.sign()).clamp_min(0).sum()


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
        "AT_paper": Case(partial(AT, form="paper"), (3, 5), distance=lengths),
        "FT": Case(partial(FT, 3, 5), (3, 5), refused_width="shapes cannot be multiplied"),
        "FT_squared": Case(partial(FT, 3, 3, rate=1.5, power=2.0), refused_width="shapes cannot be multiplied"),
        "HiddenCosine": Case(HiddenCosine, at_teacher="zero", distance=angles, refused_width=WIDTH[:-8]),
        "AB": Case(AB, distance=disagreement, refused_width=WIDTH[:-8]),
        "AB_connector": Case(
            partial(AB, 3, 5),
            (3, 5),
            least_nodes=2,
            refused_width=r"'teacher' must be as wide as 'student' \(5\), got 6",
        ),
        "AT_linear": Case(partial(AT, 1.0), at_teacher="zero"),
    }
