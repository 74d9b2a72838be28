"""Adaptive weights of teachers, and the sum that they enter: the formulas by loops."""

from __future__ import annotations

import math

import pytest
import torch

import graphkd
from graphkd import Frozen
from graphkd.losses import cross_entropy, kl, rkd_angle, rkd_distance
from graphkd.schemes import AMTML, AdaptiveWeights, Hint, amtml, soft_target
from tests.core.models import gcn, graph
from tests.losses.example import CLASSES, LABELS, NODES, STUDENT, TEACHER, WIDE_TEACHER, assert_value, softmax

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


# ------------------------------------------------------------- the scheme
LABELLED = {"where": "train_mask", "targets": lambda batch: batch["y"]}
HINTS = [Hint("convs.0", "convs.0", (4, 8)), Hint("convs.1", "convs.0", (3, 6))]


def scene():
    return graph(), gcn(1, width=4), [gcn(2), gcn(3, width=6)]


def test_the_sum_of_a_step():
    data, student, teachers = scene()
    torch.manual_seed(0)
    task = AMTML(
        student, teachers, "convs.0", 4, hints=HINTS, temperature=2.0, alpha=0.6, beta=0.5, penalty=0.2, **LABELLED
    )
    step = task(data)
    hidden = student.convs[0](data.x, data.edge_index)
    s, rows = student(data.x, data.edge_index), data.train_mask
    answers = torch.stack([Frozen(teacher)(data)["logits"] for teacher in teachers])
    weights = task.weights(hidden)
    labelled = amtml(s[rows], answers[:, rows], data.y[rows], weights[:, rows], 2.0, alpha=0.6)
    others = 0.0
    for i in (~rows).nonzero()[:, 0].tolist():
        for c in CLASSES:
            q = sum(float(weights[k, i].detach()) * softmax(answers[k, i], 2.0)[c] for k in range(2))
            others += q * (math.log(q) - math.log(softmax(s[i].detach(), 2.0)[c]))
    others *= 2 * 0.6 * 4 / (3 * int((~rows).sum()))
    hints = 0.0
    for k, shown in enumerate((hidden, s)):
        features = teachers[k].convs[0](data.x, data.edge_index).detach()
        hints = hints + (task.hints[k].projector(shown) - features).square().mean()
    want = float((labelled + 0.5 * hints + 0.2 * task.weights.penalty()).detach()) + others
    assert abs(float(step.loss.detach()) - want) < 1e-4 * abs(want)
    assert set(step.terms) == {"labelled", "others", "hints", "penalty"}


def test_the_weights_learn_too():
    data, student, teachers = scene()
    task = AMTML(student, teachers, "convs.0", 4, **LABELLED)
    task(data).loss.backward()
    assert all(p.grad.any() for p in task.weights.parameters())
    with pytest.raises(ValueError, match="'hints' must be none or one of each of 2 teachers, got 1"):
        AMTML(student, teachers, "convs.0", 4, hints=HINTS[:1], **LABELLED)


def test_teachers_with_layers_of_their_own():
    data, student, teachers = scene()
    seen = []
    hidden = ("convs.0", "convs.0", "convs.1")
    graphkd.distil("amtml", student, teachers, data, hidden=hidden, epochs=30, log=seen.append)
    assert seen[-1]["hints"] < seen[0]["hints"]
    assert seen[-1]["others"] < seen[0]["others"]


def test_a_batch_without_labelled_rows():
    data, student, teachers = scene()
    data.train_mask = torch.zeros_like(data.train_mask)
    task = AMTML(student, teachers, "convs.0", 4, **LABELLED)
    step = task(data)
    step.loss.backward()
    assert step.terms["labelled"] == 0
    assert all(p.grad is None or p.grad.isfinite().all() for p in task.parameters())
