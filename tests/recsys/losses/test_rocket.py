"""Rocket launching against its formula."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from recsys.losses import Rocket
from recsys.losses.rocket import distillation, rocket, rocket_kd


def logits(*shape: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    light, booster = (torch.randn(*shape, dtype=torch.float64, generator=generator) for _ in range(2))
    return light.requires_grad_(), booster.requires_grad_()


def log_softmax(row: list[float]) -> list[float]:
    total = math.log(sum(map(math.exp, row)))
    return [x - total for x in row]


@pytest.mark.parametrize("rows", [None, 7])
def test_classes(rows: int | None) -> None:
    light, booster = logits(4, 3)
    y = [2, 0, 1, 1]
    want = 0.0
    for n in range(4):
        z, b = light[n].tolist(), booster[n].tolist()
        want -= (log_softmax(z)[y[n]] + log_softmax(b)[y[n]]) / 4
        want += 0.3 * sum((p - q) ** 2 for p, q in zip(z, b, strict=True)) / (rows or 4)
    got = rocket(light, booster, torch.tensor(y), weight=0.3, rows=rows)
    assert float(got.detach()) == pytest.approx(want)


def test_clicks() -> None:
    light, booster = logits(4)
    y = torch.tensor([1.0, 0.0, 0.0, 1.0], dtype=torch.float64)
    want = 0.0
    for z, b, c in zip(light.tolist(), booster.tolist(), y.tolist(), strict=True):
        want += math.log1p(math.exp(z)) - c * z + math.log1p(math.exp(b)) - c * b + 0.3 * (z - b) ** 2
    got = Rocket(0.3).measure({"logits": light, "booster": booster}, None, {"y": y})
    assert got is not None
    assert float(got.detach()) == pytest.approx(want / 4)


def test_the_block_keeps_the_hint_from_the_booster() -> None:
    light, booster = logits(4)
    y = torch.ones(4)
    slopes = [
        torch.autograd.grad(rocket(light, booster, y, weight=w, block=block), (light, booster))
        for w, block in ((0.0, True), (1.0, True), (1.0, False))
    ]
    without, blocked, free = slopes
    assert torch.equal(without[1], blocked[1])
    assert not torch.equal(without[0], blocked[0])
    assert torch.equal(blocked[0], free[0])
    torch.testing.assert_close(free[1] - blocked[1], -(blocked[0] - without[0]))


def test_a_pre_trained_teacher() -> None:
    student, teacher = (each.detach() for each in logits(4, 3))
    total = 0.0
    for s, t in zip(student.tolist(), teacher.tolist(), strict=True):
        q, p = log_softmax([x / 4 for x in s]), log_softmax([x / 4 for x in t])
        total += sum(math.exp(b) * (b - a) for a, b in zip(q, p, strict=True))
    want = 2 * 0.9 * 16 * total / 12
    assert float(rocket_kd(student, teacher)) == pytest.approx(want)
    y = torch.tensor([0, 1, 2, 0])
    labels = torch.nn.functional.cross_entropy(student, y)
    assert float(distillation(student, teacher, y)) == pytest.approx(want + 0.1 * float(labels))


def test_no_rows_and_errors() -> None:
    assert float(rocket(torch.zeros(0), torch.zeros(0), torch.zeros(0))) == 0
    with pytest.raises(ValueError, match=r"one shape, \(N,\) or \(N, C\), got \(4,\) and \(4, 2\)"):
        rocket(torch.zeros(4), torch.zeros(4, 2), torch.zeros(4))
    with pytest.raises(ValueError, match="'temperature' must be positive, got -1"):
        rocket_kd(torch.zeros(2, 2), torch.zeros(2, 2), -1.0)
