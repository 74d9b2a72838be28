"""Adversaries on answers and features: the sums by loops, who learns from what, and weights that move."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from graphkd import Distiller, Frozen, fit
from graphkd.losses import KL
from graphkd.schemes import Adversarial, Progressive, adversarial_adaptation, changed
from tests.core.models import CLASSES, Labels, gcn, graph
from tests.kernels.graphs import normal
from tests.losses.example import softmax

SOURCE, TARGET = (2 * normal(rows, 3, dtype=torch.float64, seed=seed) for rows, seed in ((5, 1), (4, 2)))
Y = torch.tensor([0, 2, 1, 1, 0])


def discriminator(width=3, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(width, 4), nn.LeakyReLU(0.2), nn.Linear(4, 1))


def binary(logit, label):
    chance = 1 / (1 + math.exp(-logit))
    return -math.log(chance if label else 1 - chance)


@pytest.mark.parametrize("label", [0, 1])
def test_adversarial_adaptation(label):
    judge = discriminator().double().requires_grad_(False)
    source, target = (judge(rows)[:, 0].tolist() for rows in (SOURCE, TARGET))
    labels = sum(-math.log(softmax(SOURCE[i])[int(Y[i])]) for i in range(5)) / 5
    fooled = sum(binary(logit, label) for logit in target) / 4
    right = sum(binary(logit, label) for logit in source) / 5 + sum(binary(logit, 1 - label) for logit in target) / 4
    got = adversarial_adaptation(SOURCE, Y, (SOURCE, TARGET), judge, weight=0.5, source_label=label)
    assert float(got.student) == pytest.approx(labels + 0.5 * fooled)
    assert float(got.discriminator) == pytest.approx(right / 2)


def test_each_learns_from_its_own_loss():
    judge = discriminator().double()
    shown = tuple(rows.clone().requires_grad_() for rows in (SOURCE, TARGET))
    student, judged = adversarial_adaptation(SOURCE, Y, shown, judge)
    assert all(
        g is None for g in torch.autograd.grad(student, judge.parameters(), retain_graph=True, allow_unused=True)
    )
    assert torch.autograd.grad(student, shown[1])[0].any()
    assert all(g is None for g in torch.autograd.grad(judged, shown, retain_graph=True, allow_unused=True))
    assert all(g is not None for g in torch.autograd.grad(judged, list(judge.parameters())))
    with pytest.raises(ValueError, match="'source_label' must be 0 or 1, got 2"):
        adversarial_adaptation(SOURCE, Y, shown, judge, source_label=2)


def domains():
    data = graph()
    return changed(data, source_mask=data.train_mask, target_mask=data.test_mask)


@pytest.mark.parametrize(("tap", "width"), [(None, CLASSES), ("convs.0", 8)], ids=["output", "features"])
def test_a_student_adapts(tap, width):
    data, student, seen = domains(), gcn(1), []
    before = student.convs[0].lin.weight.detach().clone()
    found = fit(Adversarial(student, discriminator(width), tap=tap), data, epochs=20, log=seen.append)
    assert found is student
    assert not torch.equal(before, student.convs[0].lin.weight)
    assert seen[-1]["student"] < seen[0]["student"]
    assert not student.convs[0]._forward_hooks


def test_target_rows_come_to_be_taken_for_source():
    """By a discriminator that stays: it is the student that moves."""
    data, student, judge = domains(), gcn(1), discriminator().requires_grad_(False)

    def from_target():
        shown = student(data.x, data.edge_index).softmax(dim=1)[data.target_mask]
        return float(judge(shown).sigmoid().mean().detach())

    before = from_target()
    fit(Adversarial(student, judge, weight=1e3), data, epochs=20)
    assert from_target() < before


def test_progressive_weights():
    data, teacher, student = domains(), gcn(1), gcn(2)
    adapting = Adversarial(teacher, discriminator())
    task = Progressive(adapting, Distiller(student, Frozen(teacher), KL(2.0)), start=0.1, end=0.9)
    shares = []
    for epoch in range(3):
        task.set_epoch(epoch, 3)
        shares.append(task.share)
    assert shares == pytest.approx([0.1, 0.3, 0.9])
    torch.manual_seed(0)
    step = task(data)
    first, second = adapting(data).loss, task.distilling(data).loss
    torch.testing.assert_close(step.loss, 0.1 * first + 0.9 * second)
    assert set(step.terms) == {"adapting.student", "adapting.discriminator", "distilling.kl"}
    before = teacher.convs[0].lin.weight.detach().clone()
    assert fit(task, data, epochs=3) is student
    assert not torch.equal(before, teacher.convs[0].lin.weight)
    with pytest.raises(ValueError, match="'start' must be above 0 and 1 at most, got 0"):
        Progressive(Distiller(teacher, losses=Labels()), task.distilling, start=0)
