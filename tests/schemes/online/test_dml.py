"""Rules between peers: the formulas by loops, and who learns from which term."""

from __future__ import annotations

import math

import pytest
import torch

from graphkd import fit
from graphkd.losses import crd, kl
from graphkd.losses.information.crd import crd_log_normaliser
from graphkd.schemes import (
    Adversaries,
    AttendedFeatures,
    PeerContrast,
    Peers,
    discrimination_squares,
    dml,
    each_other,
    fooling_squares,
    soft_target,
)
from tests.core.models import gcn, graph
from tests.losses.example import CLASSES, NODES, STUDENT, TEACHER, dot, softmax

LOGITS = torch.stack([STUDENT, TEACHER, STUDENT - TEACHER])
HIDDEN = [TEACHER, STUDENT * 2, TEACHER - 1]


def trained(rule, count=3):
    """A few epochs of peers under a rule: every parameter got a gradient."""
    task = Peers([gcn(seed) for seed in range(count)], rule, hidden="convs.0")
    loss, terms = task(graph())
    loss.backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in task.parameters())
    fit(task, graph(), epochs=3)
    return terms


# ---------------------------------------------------------------- DML
def test_dml():
    """L_k - CE_k, by loops; with two peers what one learns, the other is constant in."""
    task = dml([gcn(1), gcn(2), gcn(3)])
    data = graph()
    _, terms = task(data)
    answers = [model(data.x, data.edge_index).double().tolist() for model in task.student]
    for k in range(3):
        want = 0.0
        for other in {0, 1, 2} - {k}:
            for i in range(30):
                p, q = softmax(answers[other][i]), softmax(answers[k][i])
                want += sum(p[c] * math.log(p[c] / q[c]) for c in CLASSES) / 30 / 2
        assert float(terms[f"soft_{k}"]) == pytest.approx(want, rel=1e-5)


def test_its_gradient_is_that_of_the_mean_of_the_others():
    first = LOGITS[0].clone().requires_grad_()
    taught = each_other(LOGITS)
    (got,) = torch.autograd.grad(sum(share * kl(first, target[0]) for share, target in taught.targets), first)
    (want,) = torch.autograd.grad(kl(first, soft_target(LOGITS[1:])), first)
    torch.testing.assert_close(got, want)


def test_targets_are_constant():
    logits = LOGITS.clone().requires_grad_()
    assert not any(target.requires_grad for _, target in each_other(logits).targets)


# ---------------------------------------------------------------- AFIKD
def test_attended_features():
    torch.manual_seed(0)
    rule = AttendedFeatures(3, 2, weight=0.5).double()
    got = rule(LOGITS, HIDDEN).terms["features"].detach()
    query, key = (layer.weight.detach().tolist() for layer in (rule.query, rule.key))
    want = 0.0
    for n in NODES:
        for i in range(3):
            others = [j for j in range(3) if j != i]
            q = [dot(row, HIDDEN[i][n]) for row in query]
            shares = softmax([dot(q, [dot(row, HIDDEN[j][n]) for row in key]) / math.sqrt(2) for j in others])
            attended = [sum(a * float(HIDDEN[j][n, d]) for a, j in zip(shares, others, strict=True)) for d in range(3)]
            want += sum((float(HIDDEN[i][n, d]) - attended[d]) ** 2 for d in range(3)) / 45
    assert float(got) == pytest.approx(0.5 * want)


def test_attended_features_train():
    assert "features" in trained(AttendedFeatures(8, 4))


# ---------------------------------------------------------------- AFD
def test_squares():
    own, other = torch.tensor([0.2, -0.4]).double(), torch.tensor([0.9, 0.5, 1.5]).double()
    assert float(fooling_squares(own)) == pytest.approx((0.8**2 + 1.4**2) / 2)
    want = (0.1**2 + 0.5**2 + 0.5**2) / 3 + (0.2**2 + 0.4**2) / 2
    assert float(discrimination_squares(own, other)) == pytest.approx(want)


def test_peers_fool_and_discriminators_tell():
    """Neither term reaches the other's parameters; k tells k + 1 from k."""
    torch.manual_seed(0)
    rule = Adversaries(3, 3, weight=2.0).double()
    hidden = [h.clone().requires_grad_() for h in HIDDEN]
    terms = rule(LOGITS, hidden).terms
    scores = [[layer(h).detach() for h in HIDDEN] for layer in rule.discriminators]
    assert float(terms["fooling"].detach()) == pytest.approx(
        2 * sum(float(fooling_squares(scores[k][k])) for k in range(3))
    )
    want = sum(float(discrimination_squares(scores[k][k], scores[k][(k + 1) % 3])) for k in range(3))
    assert float(terms["discrimination"].detach()) == pytest.approx(want)
    features, critics = (tuple(found) for found in (hidden, rule.parameters()))
    for name, reached, spared in (("fooling", features, critics), ("discrimination", critics, features)):
        assert all(g.any() for g in torch.autograd.grad(terms[name], reached, retain_graph=True))
        assert all(g is None for g in torch.autograd.grad(terms[name], spared, retain_graph=True, allow_unused=True))


def test_one_peer_alone_has_nobody_to_learn_from():
    assert each_other(LOGITS[:1]).targets == []


def test_adversaries_train():
    assert {"fooling", "discrimination"} <= set(trained(Adversaries(3, 8)))


# ---------------------------------------------------------------- MCL-OKD
def test_contrast_of_pairs():
    torch.manual_seed(0)
    rule = PeerContrast(8, [3, 3, 3], 4, negatives=2, eps=1e-3).double()
    ids, negatives = torch.tensor([2, 7, 1, 4, 0]), torch.arange(10).reshape(5, 2) % 8
    memories = rule.memories.clone()
    got = rule.contrast(HIDDEN, ids, negatives)
    index, want = torch.cat([ids[:, None], negatives], dim=1), 0.0
    rows = [torch.nn.functional.normalize(head(h), dim=1) for head, h in zip(rule.heads, HIDDEN, strict=True)]
    for i, j in ((0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)):
        log_z = crd_log_normaliser(rows[j], memories[i], index, 0.1)
        want = want + crd(rows[j], memories[i], index, log_z, 0.1, eps=1e-3)
    torch.testing.assert_close(got, want)
    mixed = 0.5 * memories[1][7] + 0.5 * rows[1][1].detach()
    torch.testing.assert_close(rule.memories[1][7], mixed / mixed.norm())
    assert torch.equal(rule.memories[:, 3], memories[:, 3])


def test_memories_stay_in_evaluation():
    rule = PeerContrast(5, [3, 3, 3], 4, negatives=3).double().eval()
    before = rule.memories.clone()
    taught = rule(LOGITS, HIDDEN)
    assert torch.equal(rule.memories, before)
    (share, targets), *_ = taught.targets
    assert share == 1
    torch.testing.assert_close(targets[2], LOGITS.mean(dim=0))
    assert torch.equal(targets[:2], LOGITS[:2])  # the others are taught themselves: nothing
    assert taught.terms["contrast"] > 0


def test_peer_contrast_trains():
    terms = trained(PeerContrast(30, [8, 8, 8], 4, negatives=6))
    assert float(terms["soft_0"]) == pytest.approx(0, abs=1e-6)
    assert terms["soft_2"] > 0


def test_a_memory_of_one():
    with pytest.raises(ValueError, match="'num_nodes' must be 2 at least, for negatives, got 1"):
        PeerContrast(1, [3, 3])
