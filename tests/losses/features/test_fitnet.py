"""Hints: the formula, one node and one coordinate at a time."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import pytest
import torch

from graphkd.losses import FitNet, fitnet
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import NODES, STUDENT, TEACHER, WIDE_TEACHER, assert_value, dot, unit
from tests.losses.features.test_hidden_cosine import angles
from tests.losses.methods import stages, trained
from tests.losses.scene import SAME_WIDTH


def mean_squared(one, other):
    pairs = [(a, b) for row, twin in zip(one, other, strict=True) for a, b in zip(row, twin, strict=True)]
    return sum((float(a) - float(b)) ** 2 for a, b in pairs) / len(pairs)


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


@pytest.mark.parametrize("widths", [(3, None), (None, 3)])
def test_one_width_alone(widths):
    with pytest.raises(ValueError, match=f"give both widths or none, got {widths[0]} and {widths[1]}"):
        FitNet(*widths)


def test_widths_differ_without_a_projector():
    with pytest.raises(ValueError, match=r"as wide as 'student' \(3\), got 5; FitNet\(student_width, teacher_width\)"):
        FitNet()(STUDENT, WIDE_TEACHER)


def far(student, teacher, batch):
    return (student - teacher).abs().sum()


def test_the_method_of_two_stages():
    """Hints to the last epoch, then labels and soft targets, whose weight falls from 4 to 1."""
    result = trained("fitnet_stages", shares_every=1)
    assert stages(result) == ["hints", "targets"]
    keys = {report["stage"]: set(report) for report in result.history}
    assert {"fitnet", "ce", "fadingkl"} & keys["hints"] == {"fitnet"}
    assert {"fitnet", "ce", "fadingkl"} & keys["targets"] == {"ce", "fadingkl"}


class TestFitNet(Behaviour):
    cases: ClassVar = {
        "FitNet": Case(FitNet, at_teacher="zero", distance=far, refused_width=f"{SAME_WIDTH}; FitNet"),
        "FitNet_normalised": Case(
            partial(FitNet, normalise=True), at_teacher="zero", distance=angles, refused_width=f"{SAME_WIDTH}; FitNet"
        ),
        "FitNet_projector": Case(
            partial(FitNet, 3, 5), (3, 5), refused_width=r"'teacher' must be as wide as 'student' \(5\), got 6"
        ),
    }
