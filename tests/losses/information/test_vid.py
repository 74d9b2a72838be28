"""VID: the formula, entry by entry."""

from __future__ import annotations

import math
from functools import partial
from typing import ClassVar

import pytest
import torch

from graphkd.losses import VID, vid
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import NODES, STUDENT, TEACHER, WIDE_TEACHER, assert_value, dot


def test_vid():
    torch.manual_seed(0)
    loss = VID(3, 5, 4).double()
    with torch.no_grad():
        loss.scale.copy_(torch.linspace(-1, 2, 5))
    weights = [parameter.detach() for name, parameter in loss.named_parameters() if name != "scale"]
    total = 0.0
    for i in NODES:
        row = [float(v) for v in STUDENT[i]]
        for number, weight in enumerate(weights):
            row = [dot(w, row) for w in weight]
            row = [max(v, 0.0) for v in row] if number < 2 else row
        for k, mean in enumerate(row):
            variance = math.log(1 + math.exp(float(loss.scale[k].detach()))) + 1e-5
            total += (float(WIDE_TEACHER[i, k]) - mean) ** 2 / (2 * variance) + math.log(variance) / 2
    assert_value(loss(STUDENT, WIDE_TEACHER), total / 25)


def test_the_initial_variance_of_vid():
    loss = VID(3, 5, initial_variance=2.0).double()
    variance = torch.nn.functional.softplus(loss.scale) + loss.eps
    torch.testing.assert_close(variance.detach(), torch.full((5,), 2.0).double(), rtol=1e-6, atol=0)
    assert [name for name, _ in loss.named_parameters()] == ["scale", "mean.0.weight", "mean.2.weight", "mean.4.weight"]


def test_vid_learns_the_variances():
    """The best variance is the mean squared error of a channel."""
    error = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    variance = error.square().requires_grad_()
    (gradient,) = torch.autograd.grad(vid(TEACHER + error, TEACHER, variance), variance)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-15)


def test_refusals():
    with pytest.raises(ValueError, match=r"'initial_variance - eps' must be positive, got 0\.0"):
        VID(3, 5, initial_variance=1e-5)


class TestVID(Behaviour):
    cases: ClassVar = {
        "VID": Case(
            partial(VID, 3, 5, 4),
            widths=(3, 5),
            refused_width=r"'teacher' must be as wide as 'student' \(5\), got 6; VID\(student_width, teacher_width\)",
        ),
    }
