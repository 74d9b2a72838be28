"""CrossDistil against its formulas, and who learns from which part."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from recsys.losses import CrossDistil
from recsys.losses.crossdistil import (
    calibrate,
    calibration_loss,
    corrected,
    corrected_clicks,
    crossdistil_kd,
    quadruplet_ranking,
    sampled_ranking,
)


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def sigma(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_quadruplets() -> None:
    torch.manual_seed(0)
    scores = torch.randn(4, 5, dtype=torch.float64)
    each = [
        0.6 * softplus(b - a) + softplus(c - b) + 0.4 * softplus(d - c)
        for a, b, c, d in zip(*scores.tolist(), strict=True)
    ]
    assert quadruplet_ranking(*scores, beta1=0.6, beta2=0.4, reduction="none").tolist() == pytest.approx(each)
    assert float(quadruplet_ranking(*scores, beta1=0.6, beta2=0.4)) == pytest.approx(sum(each) / 5)
    assert float(quadruplet_ranking(*scores, beta1=0.6, beta2=0.4, reduction="sum")) == pytest.approx(sum(each))


def test_sampled_quadruplets_have_the_mean_of_all() -> None:
    torch.manual_seed(0)
    scores = torch.randn(12, dtype=torch.float64)
    own, other = torch.tensor([1, 1, 0, 0] * 3), torch.tensor([1, 0, 1, 0] * 3)
    both, alone, others, neither = (scores[n::4].tolist() for n in range(4))

    def mean(above: list[float], below: list[float]) -> float:
        return sum(softplus(b - a) for a in above for b in below) / (len(above) * len(below))

    want = 0.6 * mean(both, alone) + mean(alone, others) + 0.4 * mean(others, neither)
    drawn = [float(sampled_ranking(scores, own, other, beta1=0.6, beta2=0.4)) for _ in range(800)]
    assert sum(drawn) / 800 == pytest.approx(want, rel=0.03)


def test_classes_without_rows_are_left_out() -> None:
    scores = torch.tensor([0.3, -0.2], requires_grad=True)
    only = sampled_ranking(scores, torch.tensor([1, 1]), torch.tensor([1, 0]), beta1=0.5)
    assert float(only.detach()) == pytest.approx(0.5 * softplus(-0.5))
    nothing = sampled_ranking(scores, torch.zeros(2), torch.zeros(2))
    nothing.backward()
    assert float(nothing.detach()) == 0
    assert float(sampled_ranking(torch.zeros(0), torch.zeros(0), torch.zeros(0))) == 0


def test_calibration() -> None:
    logits = torch.tensor([0.5, -2.0], dtype=torch.float64, requires_grad=True)
    scale, shift = torch.tensor(0.8, requires_grad=True), torch.tensor(-0.3, requires_grad=True)
    value = calibration_loss(logits, torch.tensor([1.0, 0.0]), scale, shift)
    assert float(value.detach()) == pytest.approx((softplus(-0.1) + softplus(-1.9)) / 2)
    value.backward()
    assert logits.grad is None
    assert scale.grad is not None
    assert calibrate(torch.tensor(2.0), scale, shift, "platt").item() == pytest.approx(-1.3)
    with pytest.raises(ValueError, match="'convention' must be one of"):
        calibrate(logits, scale, shift, "other")  # type: ignore[arg-type]


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_corrected_distillation(temperature: float) -> None:
    student, teacher = torch.tensor([0.4, -1.0, 2.0]).double(), torch.tensor([-3.0, 0.2, 4.0]).double()
    y = torch.tensor([1.0, 0.0, 1.0]).double()
    assert corrected(teacher, y, 0.5).tolist() == [0.5, -0.5, 4.0]
    total = 0.0
    for s, t, c in zip(student.tolist(), (0.5, -0.5, 4.0), y.tolist(), strict=True):
        q, x = sigma(t / temperature), s / temperature
        total += 0.7 * (softplus(s) - c * s) + 0.3 * (softplus(x) - q * x)
    knobs = {"margin": 0.5, "temperature": temperature}
    assert float(crossdistil_kd(student, teacher, y, alpha=0.3, **knobs)) == pytest.approx(total / 3)
    assert corrected_clicks(teacher, y, **knobs)[0].item() == pytest.approx(sigma(0.5 / temperature))
    with pytest.raises(ValueError, match="'margin' must be at least 0, got -1"):
        corrected(teacher, y, -1)


def example(rows: int = 8) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(2)
    logits, ranking = torch.randn(2, rows, 2)
    return (
        logits.requires_grad_(),
        ranking.requires_grad_(),
        torch.tensor([[1, 1], [1, 0], [0, 1], [0, 0]] * (rows // 4)),
    )


def test_the_whole_is_the_sum_of_its_parts() -> None:
    logits, ranking, y = example()
    loss = CrossDistil(alpha=0.4, margin=0.2, temperature=2.0, beta1=0.5, ranking_weight=0.3)
    loss.scale.data, loss.shift.data = torch.tensor([0.7, 1.2]), torch.tensor([0.1, -0.4])
    torch.manual_seed(5)
    got = loss((logits, ranking), y=y)
    torch.manual_seed(5)
    want = torch.zeros(())
    for own, other in ((0, 1), (1, 0)):
        want = want + 0.3 * sampled_ranking(ranking[:, own], y[:, own], y[:, other], beta1=0.5)
        want = want + calibration_loss(ranking[:, own], y[:, own], loss.scale[own], loss.shift[own])
        calibrated = calibrate(ranking[:, own], loss.scale[own], loss.shift[own])
        want = want + crossdistil_kd(logits[:, own], calibrated, y[:, own], alpha=0.4, margin=0.2, temperature=2.0)
    torch.testing.assert_close(got, want)


def test_student_heads_do_not_move_the_teachers_nor_the_calibration() -> None:
    logits, ranking, y = example()
    loss = CrossDistil()
    slopes = []
    for alpha in (0.0, 0.9):
        loss.alpha = alpha
        torch.manual_seed(5)
        slopes.append(torch.autograd.grad(loss((logits, ranking), y=y), [logits, ranking, loss.scale, loss.shift]))
    for before, after in zip(slopes[0][1:], slopes[1][1:], strict=True):
        assert torch.equal(before, after)
    assert not torch.equal(slopes[0][0], slopes[1][0])


def test_it_warms_up() -> None:
    logits, ranking, y = example()
    loss, values = CrossDistil(alpha=0.9, start_epoch=2), []
    for epoch in (0, 1, 2):
        loss.set_epoch(epoch, 3)
        torch.manual_seed(5)
        values.append(float(loss((logits, ranking), y=y).detach()))
    assert values[0] == values[1] != values[2]


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match=r"must have shape \(N, 2\), got \[\(4, 2\), \(4, 2\), \(4,\)\]"):
        CrossDistil()((torch.zeros(4, 2), torch.zeros(4, 2)), y=torch.zeros(4))
