"""Adaptive weights of teachers, and the sum that they enter: the formulas by loops."""

from __future__ import annotations

import math

import torch

from graphkd.losses import cross_entropy, kl, rkd_angle, rkd_distance
from graphkd.schemes import AdaptiveWeights, amtml, soft_target
from tests.losses.example import LABELS, NODES, STUDENT, TEACHER, WIDE_TEACHER, assert_value
from tests.losses.test_response import CLASSES, softmax

TEACHERS = torch.stack([TEACHER, TEACHER.flip(0)])


def made():
    torch.manual_seed(0)
    return AdaptiveWeights(2, 5).double()


def test_adaptive_weights():
    module = made().requires_grad_(False)
    got = module(WIDE_TEACHER)
    assert got.shape == (2, 5)
    for i in NODES:
        scores = [
            sum(float(module.weight[d] * module.factors[k, d] * WIDE_TEACHER[i, d]) for d in range(5)) for k in range(2)
        ]
        torch.testing.assert_close(got[:, i], torch.tensor(softmax(scores), dtype=torch.float64))
    squares = sum(float(x) ** 2 for x in [*module.factors.flatten(), *module.weight])
    assert_value(module.penalty(), squares)


def test_amtml():
    weights = made()(WIDE_TEACHER).detach()
    targets, logs, soft = [], [], 0.0
    for i in NODES:
        answers = [softmax(teacher[i], 5.0) for teacher in TEACHERS]
        targets.append([sum(float(weights[k, i]) * answers[k][c] for k in range(2)) for c in CLASSES])
        logs.append([math.log(q) for q in softmax(STUDENT[i], 5.0)])
        soft += sum(targets[i][c] * (math.log(targets[i][c]) - logs[i][c]) for c in CLASSES) / 15
    p, q = (torch.tensor(rows, dtype=torch.float64) for rows in (logs, targets))
    want = 2 * 0.6 * 25 * soft + 0.4 * cross_entropy(p, LABELS) + rkd_angle(p, q) + rkd_distance(p, q)
    assert_value(amtml(STUDENT, TEACHERS, LABELS, weights, 5.0, alpha=0.6), float(want))


def test_the_weights_learn_from_the_soft_targets_alone():
    """The relational terms hold the target constant."""
    module = made()
    weights = module(WIDE_TEACHER)
    soft = kl(
        (STUDENT / 5).log_softmax(dim=1), soft_target(TEACHERS, 5.0, weights=weights) / 5, reduction="elementmean"
    )
    trained = (module.factors, module.weight)
    want = torch.autograd.grad(2 * 0.7 * 25 * soft, trained, retain_graph=True)
    got = torch.autograd.grad(amtml(STUDENT, TEACHERS, LABELS, weights), trained)
    torch.testing.assert_close(got, want)
    assert all(gradient.any() for gradient in got)
