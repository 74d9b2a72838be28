"""Ensembles of peers as their teachers: the targets by loops, and that all parts train."""

from __future__ import annotations

import pytest
import torch

from graphkd import fit
from graphkd.schemes import (
    PeerAttention,
    collaboration,
    ffl,
    gated_ensemble,
    mutual_fusion,
    okddip,
    one,
    pcl,
    shared_trunk,
)
from tests.core.models import CLASSES, gcn, graph
from tests.losses.example import NODES, STUDENT, TEACHER, dot, softmax

LOGITS = torch.stack([STUDENT, TEACHER, STUDENT - TEACHER])
SCORES = torch.stack([STUDENT[:, 0], TEACHER[:, 1], -STUDENT[:, 2]], dim=1)


def models(count=3):
    return [gcn(seed) for seed in range(count)]


def test_gated_ensemble():
    taught = gated_ensemble(LOGITS.clone().requires_grad_(), SCORES)
    for i in NODES:
        gates = softmax([max(float(s), 0) for s in SCORES[i]])
        want = sum(gate * peer[i] for gate, peer in zip(gates, LOGITS, strict=True))
        torch.testing.assert_close(taught.beside["ensemble"].logits[i].detach(), want)
    ((share, target),) = taught.targets
    assert share == 1
    assert not target.requires_grad
    assert taught.beside["ensemble"].target is None  # it learns the labels alone


def test_both_ways_of_fusion():
    fused = (STUDENT + 1).requires_grad_()
    taught = mutual_fusion(LOGITS, fused)
    assert torch.equal(taught.targets[0][1], fused.detach())
    assert not taught.targets[0][1].requires_grad
    assert taught.beside["fused"].logits is fused
    torch.testing.assert_close(taught.beside["fused"].target, LOGITS.mean(dim=0))


def test_collaboration():
    averaged = LOGITS * 0.3
    ensemble, *means = collaboration(LOGITS, STUDENT.clone().requires_grad_(), averaged).targets
    assert ensemble[0] == 1
    assert not ensemble[1].requires_grad
    for k in range(3):
        found = sorted(float(target[k, 0, 0]) for _, target in means)
        assert found == sorted(float(averaged[j, 0, 0]) for j in range(3) if j != k)
    assert [share for share, _ in means] == [0.5, 0.5]


def test_peer_attention():
    torch.manual_seed(0)
    rule = PeerAttention(3, 2).double()
    features = torch.stack([TEACHER, STUDENT * 2])
    got = rule.attend(LOGITS[:2], features)
    query, key = (layer.weight.detach().tolist() for layer in (rule.query, rule.key))
    for n in NODES:
        for i in range(2):
            q = [dot(row, features[i, n]) for row in query]
            shares = softmax([dot(q, [dot(row, features[j, n]) for row in key]) for j in range(2)])
            torch.testing.assert_close(got[i, n].detach(), shares[0] * LOGITS[0, n] + shares[1] * LOGITS[1, n])
    ((_, targets),) = rule(LOGITS, [*features, TEACHER]).targets
    torch.testing.assert_close(targets, torch.cat([got, LOGITS[:2].mean(dim=0, keepdim=True)]))


MAKE = {
    "one": lambda: one(shared_trunk(models(), "convs.0"), 8, hidden="convs.0"),
    "ffl": lambda: ffl([gcn(1, 8), gcn(2, 5)], [8, 5], CLASSES, hidden="convs.0"),
    "pcl": lambda: pcl([gcn(1, 8), gcn(2, 5)], [8, 5], CLASSES, hidden="convs.0", decay=0.9),
    "okddip": lambda: okddip(models(), 8, hidden="convs.0"),
}


@pytest.mark.parametrize("name", MAKE)
def test_all_parts_train(name):
    torch.manual_seed(0)
    task, seen = MAKE[name](), []
    task(graph()).loss.backward()
    assert all(parameter.grad is not None for parameter in task.parameters())
    assert all(parameter.grad.any() for parameter in task.student.parameters())
    # a bias before batch norm, and one that softmax over peers cancels, learn nothing
    assert any(parameter.grad.any() for parameter in task.rule.parameters())
    peers = fit(task, graph(), epochs=30, log=seen.append)
    assert len(peers) == len(task.student)
    assert seen[-1]["label_0"] < seen[0]["label_0"]
    assert task.warm_up == 80


def test_a_leader_needs_two_peers():
    with pytest.raises(ValueError, match="'models' must hold two peers and their leader at least, got 2"):
        okddip(models(2), 8, hidden="convs.0")
