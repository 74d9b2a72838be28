"""Adversaries on answers and features: the sums by loops, and who learns from what."""

from __future__ import annotations

import math

import pytest
import torch

import graphkd
from graphkd import fit
from graphkd.losses import CE
from graphkd.schemes import Adversarial, adversarial_adaptation, domain_adversaries
from tests.core.models import CLASSES, gcn, graph
from tests.kernels.graphs import normal
from tests.losses.example import softmax
from tests.schemes.domains.scene import binary, discriminator, domains, of_nodes

SOURCE, TARGET = (2 * normal(rows, 3, dtype=torch.float64, seed=seed) for rows, seed in ((5, 1), (4, 2)))
Y = torch.tensor([0, 2, 1, 1, 0])


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
    assert float(domain_adversaries((SOURCE, TARGET), judge, source_label=label).student) == pytest.approx(fooled)


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


@pytest.mark.parametrize(("tap", "width"), [(None, CLASSES), ("convs.0", 8)], ids=["output", "features"])
def test_a_student_adapts(tap, width):
    data, student, seen = domains(), gcn(1), []
    before = student.convs[0].lin.weight.detach().clone()
    adapting = Adversarial(student, discriminator(width), CE(where="source_mask"), tap=tap)
    assert fit(adapting, data, epochs=20, log=seen.append) is student
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
    fit(Adversarial(student, judge, CE(where="source_mask"), weight=1e3), data, epochs=20)
    assert from_target() < before


def test_a_batch_without_source_rows_teaches_what_it_can():
    data = domains()
    data.source_mask = torch.zeros_like(data.source_mask)
    step = Adversarial(gcn(1), discriminator(), CE(where="source_mask"))(data)
    assert step.loss.isfinite()
    step.loss.backward()


@pytest.mark.parametrize("name", ["adversarial_output", "adversarial_features"])
def test_labels_of_targets_play_no_part(name):
    """Those that training could see, even."""
    data = graph()
    domain = of_nodes(data)
    domain[data.train_mask.nonzero()[:3, 0]] = 1
    other = data.clone()
    other.y = torch.where((domain == 1) & ~data.val_mask, (data.y + 1) % CLASSES, data.y)
    options = {"domains": domain, "hidden": "convs.0", "epochs": 5, "progress": False}
    found = [graphkd.distil(name, gcn(1), None, each, **options).model.state_dict() for each in (data, other)]
    assert all(torch.equal(value, found[1][key]) for key, value in found[0].items())


def test_wrong_domains():
    data = graph()
    run = lambda domains: graphkd.distil("adversarial_output", gcn(1), None, data, domains=domains, epochs=1)  # noqa: E731
    with pytest.raises(ValueError, match=r"'domains' must hold an integer for each of 30 nodes.* got torch.float32"):
        run(torch.zeros(30))
    with pytest.raises(ValueError, match=r"got 10 labelled nodes of 0 and targets \[\]"):
        run(torch.zeros(30, dtype=torch.long))
    with pytest.raises(ValueError, match=r"needs the domain of every node: give domains="):
        run(None)
