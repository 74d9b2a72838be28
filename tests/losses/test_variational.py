"""VID, VSD, VCD and VML: the formulas, entry by entry."""

from __future__ import annotations

import math
from functools import partial
from typing import ClassVar

import pytest
import torch

from graphkd.losses import KL, VCD, VID, VML, VSD, vcd, vid, vml, vsd
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import NODES, STUDENT, TEACHER, WIDE_TEACHER, assert_value, dot


def softmax(row, temperature=1.0):
    weights = [math.exp(float(z) / temperature) for z in row]
    return [weight / sum(weights) for weight in weights]


def divergence(p, q):
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


# ---------------------------------------------------------------- definitions
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


def test_vsd():
    want = sum(divergence(softmax(TEACHER[i], 2.0), softmax(STUDENT[i], 2.0)) for i in NODES) / 5
    assert_value(vsd(STUDENT, TEACHER, 2.0), want)
    assert_value(4 * vsd(STUDENT, TEACHER, 2.0), float(KL(2.0)(STUDENT, TEACHER)))


def test_vsd_of_the_code():
    total = 0.0
    for i in NODES:
        for p, q in zip(softmax(STUDENT[i], 2.0), softmax(TEACHER[i], 2.0), strict=True):
            total += p * (math.log(p) - q)
    assert_value(VSD(2.0, form="code")(STUDENT, TEACHER), total / 15)


def test_the_observation_is_constant():
    for function in (partial(vsd, form="paper"), partial(vsd, form="code")):
        observation = TEACHER.clone().requires_grad_()
        function(STUDENT.clone().requires_grad_(), observation).backward()
        assert observation.grad is None


def test_vcd_crosses_the_views():
    codes, observations = (STUDENT, STUDENT.flip(0)), (TEACHER, TEACHER.roll(1, 0))
    want = vsd(STUDENT, TEACHER.roll(1, 0)) + vsd(STUDENT.flip(0), TEACHER)
    assert_value(vcd(codes, observations), float(want))


def test_vml():
    total = 0.0
    for i in NODES:
        p, q = softmax(STUDENT[i]), softmax(TEACHER[i])
        middle = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
        total += (divergence(p, middle) + divergence(q, middle)) / 2
    assert_value(vml(STUDENT, TEACHER), total / 5)
    assert_value(vml(TEACHER, STUDENT), total / 5)


def test_vml_is_bounded():
    """By log 2, where the predictions have nothing in common, however certain they are."""
    sure = 1000 * torch.eye(3, dtype=torch.float64)
    logits = sure.clone().requires_grad_()
    value = vml(logits, sure.roll(1, 0))
    assert_value(value, math.log(2))
    assert torch.autograd.grad(value, logits)[0].isfinite().all()


# ---------------------------------------------------------------- refusals
def test_refusals():
    with pytest.raises(ValueError, match=r"'initial_variance - eps' must be positive, got 0\.0"):
        VID(3, 5, initial_variance=1e-5)
    with pytest.raises(ValueError, match=r"'form' must be one of \('paper', 'code'\), got 'Code'"):
        VSD(form="Code")
    with pytest.raises(ValueError, match=r"'temperature' must be positive, got 0"):
        VCD(0)


# ---------------------------------------------------------------- behaviour
SAME_WIDTH = r"'teacher' must be as wide as 'student' \(3\), got 4"


class TestVariational(Behaviour):
    cases: ClassVar = {
        "VID": Case(
            partial(VID, 3, 5, 4),
            widths=(3, 5),
            refused_width=r"'teacher' must be as wide as 'student' \(5\), got 6; VID\(student_width, teacher_width\)",
        ),
        "VSD": Case(partial(VSD, 2.0), at_teacher="zero", refused_width=SAME_WIDTH),
        "VSD_code": Case(partial(VSD, form="code"), refused_width=SAME_WIDTH),
        "VCD": Case(partial(VCD, 2.0), at_teacher="zero", refused_width=SAME_WIDTH),
        "VML": Case(VML, at_teacher="zero", refused_width=SAME_WIDTH),
    }
