"""FedFTG: its two losses by the formulas, and an average that is refined."""

from __future__ import annotations

import math

import pytest
import torch

from graphkd.losses import soft_cross_entropy
from graphkd.schemes.federated import class_shares, fedftg_generator, fedftg_student
from tests.kernels.graphs import normal
from tests.losses.example import CLASSES, LABELS, NODES, STUDENT, TEACHER, assert_value, softmax
from tests.schemes.federated.answers import TEACHERS, WEIGHTS
from tests.schemes.federated.scene import apart, run


def test_fedftg_generator():
    noise, weights = normal(5, 2, dtype=torch.float64, seed=1), WEIGHTS.repeat(2)[:5] / 8
    x = normal(5, 4, dtype=torch.float64, seed=2)
    found = fedftg_generator(x, noise, STUDENT, TEACHER, LABELS, weights, clients=4, class_weight=2.0)
    gaps = [sum(abs(float(STUDENT[i, c] - TEACHER[i, c])) for c in CLASSES) / 3 for i in NODES]
    apart = sum(float(w) * gap for w, gap in zip(weights, gaps, strict=True)) / 5
    entropy = sum(-math.log(softmax(TEACHER[i])[int(LABELS[i])]) for i in NODES) / 5
    spread = sum(
        float((noise[i] - noise[j]).square().mean() * (x[i] - x[j]).abs().mean()) for i in NODES for j in NODES
    )
    diversity = math.exp(-spread / 25)
    want = -apart + 2.0 * entropy * float(weights.mean()) + diversity / 4
    assert_value(found.loss, want)
    assert_value(found.diversity, diversity)


def test_fedftg_student():
    weights = class_shares(LABELS, torch.tensor([[3, 0, 1], [1, 0, 1], [0, 2, 2]])).double()
    assert weights[:, 1].tolist() == pytest.approx([0.75, 0.25, 0.0])
    assert weights[:, 2].tolist() == pytest.approx([0.0, 0.0, 1.0])
    total = 0.0
    for i in NODES:
        target = [sum(float(weights[k, i]) * softmax(TEACHERS[k, i])[c] for k in range(3)) for c in CLASSES]
        total -= sum(target[c] * math.log(softmax(STUDENT[i])[c]) for c in CLASSES)
    assert_value(fedftg_student(STUDENT, TEACHERS, weights), total / 15)
    alone = torch.tensor([1.0, 0.0, 0.0])[:, None].expand(3, 5)
    torch.testing.assert_close(fedftg_student(STUDENT, TEACHERS, alone), soft_cross_entropy(STUDENT, TEACHER) / 3)
    half = torch.tensor([0.5, 0.0, 0.0])[:, None] * torch.tensor([1.0, 1.0, 1.0, 0.0, 0.0])  # clients who are absent
    part = soft_cross_entropy(STUDENT[:3], TEACHER[:3]) / 3
    torch.testing.assert_close(fedftg_student(STUDENT, TEACHERS, half), 0.5 * part * 3 / 5)
    with pytest.raises(ValueError, match=r"'weights' must have shape \(3, 5\), got \(3,\)"):
        fedftg_student(STUDENT, TEACHERS, WEIGHTS)


def test_the_average_is_refined_without_public_rows():
    options = {"rounds": 1, "rows": 8, "steps": 2}
    found, averaged = run("fedftg", **options).model, run("fedavg", rounds=1).model
    assert 1e-4 < apart(found, averaged) < 1
    assert apart(found, run("fedftg", **options, lr=1e-2).model) > 1e-4
    assert apart(found, run("fedftg", **options).model) == 0


def test_turns_are_steps_of_an_epoch():
    found = run("fedftg", rounds=1, rows=8, steps=3, generator_steps=2)
    reports = [report for report in found.history if report["stage"] == "round-1-server-0"]
    assert len(reports) == 3
    assert {"generator", "student"} <= reports[0].keys()
