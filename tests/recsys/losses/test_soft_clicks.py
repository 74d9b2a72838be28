"""Soft clicks against their formula."""

from __future__ import annotations

import math

import pytest
import torch

from graphkd import Distiller
from recsys.losses import Clicks, SoftClicks
from recsys.losses.click_hint import click_hint
from recsys.losses.clicks import click_loss
from recsys.losses.soft_clicks import mixed_clicks, soft_clicks
from tests.recsys.losses.examples import bce, clicks, sigma


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_one_teacher(temperature: float) -> None:
    student, teacher, _ = clicks()
    pairs = zip(teacher[:, 0].tolist(), student.tolist(), strict=True)
    want = sum(bce(sigma(t / temperature), s / temperature) for t, s in pairs) / 5
    assert float(soft_clicks(student, teacher[:, 0], temperature=temperature)) == pytest.approx(want)
    assert float(SoftClicks(temperature)(student, teacher[:, 0])) == pytest.approx(want)


def test_gated_teachers_are_a_weighted_sum_of_losses() -> None:
    student, teacher, _ = clicks()
    loss = SoftClicks(2.0, teachers=3).double()
    assert loss.gate is not None
    torch.nn.init.normal_(loss.gate.weight)
    torch.nn.init.normal_(loss.gate.bias)
    total, weight, bias = 0.0, loss.gate.weight.tolist(), loss.gate.bias.tolist()
    for n in range(5):
        read = [sum(weight[i][j] * float(teacher[n, j]) for j in range(3)) + bias[i] for i in range(3)]
        alpha = [math.exp(x) / sum(map(math.exp, read)) for x in read]
        total += sum(
            a * bce(sigma(float(t) / 2), float(student[n]) / 2) for a, t in zip(alpha, teacher[n], strict=True)
        )
    assert float(loss(student, teacher).detach()) == pytest.approx(total / 5)


def test_the_gate_begins_with_equal_weights_and_learns() -> None:
    student, teacher, _ = clicks()
    loss = SoftClicks(teachers=3).double()
    weights = loss.weights(teacher)
    assert weights is not None
    torch.testing.assert_close(weights, torch.full_like(teacher, 1 / 3))
    loss(student, teacher).backward()
    assert loss.gate is not None
    assert loss.gate.weight.grad is not None
    assert loss.gate.weight.grad.abs().max() > 0


def test_gradients() -> None:
    student, teacher, y = clicks()
    student.requires_grad_()
    gate = torch.randn(5, 3, dtype=torch.float64).softmax(1).requires_grad_()
    assert torch.autograd.gradcheck(lambda s, g: soft_clicks(s, teacher, g, 2.0), (student, gate))
    assert torch.autograd.gradcheck(lambda s: click_loss(s, y), student)


def test_extreme_logits_and_no_rows() -> None:
    large = torch.tensor([200.0, -200.0], requires_grad=True)
    value = soft_clicks(large, -large.detach())
    value.backward()
    assert value.isfinite()
    assert large.grad is not None
    assert large.grad.isfinite().all()
    nothing = torch.zeros(0, requires_grad=True)
    total = click_loss(nothing, nothing.detach()) + soft_clicks(nothing, nothing.detach())
    total.backward()
    assert float(total.detach()) == 0
    assert float(click_hint(torch.zeros(0, 2), torch.zeros(0, 2))) == 0


def test_in_a_distiller_the_gate_is_the_losses_and_the_teachers_stay() -> None:
    student, teacher = torch.nn.Linear(4, 1), torch.nn.Linear(4, 3)
    task = Distiller(
        student,
        teacher,
        Clicks() + 0.5 * SoftClicks(teachers=3),
        call=(lambda model, batch: model(batch["x"]).squeeze(1), lambda model, batch: model(batch["x"])),
    )
    step = task({"x": torch.randn(6, 4), "y": torch.ones(6)})
    step.loss.backward()
    assert set(step.terms) == {"clicks", "softclicks"}
    assert all(parameter.grad is not None for parameter in task.parameters())
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"shape of the logits, \(3,\), got \(3, 1\)"):
        click_loss(torch.zeros(3), torch.zeros(3, 1))
    with pytest.raises(ValueError, match=r"every teacher of every row, \(3, 2\), got \(3,\)"):
        mixed_clicks(torch.zeros(3, 2), torch.zeros(3))
    with pytest.raises(ValueError, match="'temperature' must be positive, got 0"):
        SoftClicks(0)
    with pytest.raises(ValueError, match="matrices of one shape"):
        click_hint(torch.zeros(3, 2), torch.zeros(3, 4))
