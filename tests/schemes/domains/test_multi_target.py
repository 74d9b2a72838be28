"""One expert a target: the sum by its parts, and who learns from whom."""

from __future__ import annotations

import pytest
import torch

import graphkd
from graphkd import Frozen, fit
from graphkd.core.batches import changed
from graphkd.losses import CE, cross_entropy, kl
from graphkd.schemes import CollaborativeExperts, adversarial_adaptation
from tests.core.models import gcn, graph
from tests.losses.example import softmax
from tests.schemes.domains.scene import discriminator, of_nodes


def scene(**settings):
    data = graph()
    domain = torch.zeros(30, dtype=torch.long)
    domain[data.val_mask], domain[data.test_mask] = 1, 2
    experts, judges = [gcn(2), gcn(3)], [discriminator(seed=1), discriminator(seed=2)]
    data = changed(data, domain=domain, source_mask=domain == 0)
    return data, CollaborativeExperts(gcn(1), experts, judges, CE(where="source_mask"), **settings)


def test_the_sum_of_a_step():
    data, task = scene(weight=0.1, agreement=0.7, temperature=2.0)
    step = task(data)
    student, *answers = (model(data.x, data.edge_index) for model in (task.student, *task.experts))
    source, targets = data.domain == 0, data.domain > 0
    want = cross_entropy(student[source], data.y[source])
    for k, logits in enumerate(answers):
        p = logits.softmax(dim=1)
        shown = p[source], p[data.domain == k + 1]
        want = want + sum(
            adversarial_adaptation(logits[source], data.y[source], shown, task.discriminators[k], weight=0.1)
        )
        want = want + 0.7 * kl(logits[targets], answers[1 - k][targets], 2.0)
    rows = targets.nonzero()[:, 0].tolist()
    mean = torch.tensor(
        [[sum(softmax(one[i].detach(), 2.0)[c] for one in answers) / 2 for c in range(3)] for i in rows]
    )
    want = want + kl(student[targets], 2 * mean.log(), 2.0)
    torch.testing.assert_close(step.loss, want)
    assert set(step.terms) == {
        *(f"{name}_{k}" for name in ("expert", "discriminator") for k in (1, 2)),
        "agreement",
        "labels",
        "taught",
    }


def test_the_student_teaches_nobody():
    data, task = scene()
    task(data).loss.backward()
    one = [p.grad.clone() for p in task.experts.parameters()]
    task.zero_grad()
    with torch.no_grad():
        task.student.convs[0].lin.weight.mul_(3)
    task(data).loss.backward()
    assert all(torch.equal(p.grad, old) for p, old in zip(task.experts.parameters(), one, strict=True))
    assert all(p.grad is not None for p in task.student.parameters())


def test_labels_of_targets_are_not_read():
    data, task = scene()
    before = task(data).loss
    y = data.y.clone()
    y[data.domain > 0] = 0
    assert torch.equal(task(changed(data, y=y)).loss, before)


def test_experts_come_to_agree_and_the_student_follows():
    data, task = scene()
    seen = []
    student = fit(task, data, epochs=80, log=seen.append)
    assert student is task.student
    assert seen[-1]["agreement"] < 0.5 * seen[0]["agreement"]
    assert seen[-1]["labels"] < seen[0]["labels"]
    answers = torch.stack([Frozen(expert)(data)["logits"].softmax(dim=1) for expert in task.experts])
    said = Frozen(student)(data)["logits"].argmax(dim=1)
    assert (said == answers.mean(dim=0).argmax(dim=1))[data.domain > 0].float().mean() > 0.8
    with pytest.raises(ValueError, match="'experts' must be two at least with a discriminator each, got 1 and 1"):
        CollaborativeExperts(gcn(1), [gcn(2)], [discriminator()], CE())


def test_the_experts_may_be_given():
    data = graph()
    options = {"domains": of_nodes(data, targets=2), "epochs": 2, "progress": False}
    plain = graphkd.distil("multi_target", gcn(1), None, data, **options).model.state_dict()
    given = graphkd.distil("multi_target", gcn(1), None, data, experts=[gcn(2), gcn(3)], **options).model.state_dict()
    assert not all(torch.equal(value, given[name]) for name, value in plain.items())
    with pytest.raises(ValueError, match="'experts' must hold one for each of 2 targets, got 1"):
        graphkd.distil("multi_target", gcn(1), None, data, experts=[gcn(2)], **options)
    with pytest.raises(ValueError, match=r"and 2 target\(s\) at least, got 10 labelled nodes of 0 and targets \[1\]"):
        graphkd.distil("multi_target", gcn(1), None, data, **{**options, "domains": of_nodes(data)})
