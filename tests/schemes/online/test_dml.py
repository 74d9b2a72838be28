"""Deep mutual learning: the formula by loops, and what the method trains."""

from __future__ import annotations

import copy
import math

import pytest
import torch

import graphkd
from graphkd import fit
from graphkd.core.adam import adam
from graphkd.losses import CE, KL, kl
from graphkd.schemes import Peers, each_other, soft_target
from tests.core.models import gcn, graph
from tests.losses.example import CLASSES, STUDENT, TEACHER, softmax

LOGITS = torch.stack([STUDENT, TEACHER, STUDENT - TEACHER])
LABEL = CE(where="train_mask")


def test_dml():
    """L_k - CE_k, by loops; with two peers what one learns, the other is constant in."""
    task = Peers([gcn(1), gcn(2), gcn(3)], each_other, labels=LABEL, soft=KL(1.0, where="all"))
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
    made = each_other(LOGITS)
    (got,) = torch.autograd.grad(sum(share * kl(first, target[0]) for share, target in made.targets), first)
    (want,) = torch.autograd.grad(kl(first, soft_target(LOGITS[1:])), first)
    torch.testing.assert_close(got, want)


def test_targets_are_constant():
    logits = LOGITS.clone().requires_grad_()
    assert not any(target.requires_grad for _, target in each_other(logits).targets)


def test_one_peer_alone_has_nobody_to_learn_from():
    assert each_other(LOGITS[:1]).targets == []


def test_the_method_keeps_the_student():
    """At the epoch of its own best validation, beside the peers that were given."""
    data, peer = graph(), gcn(2, width=5)
    given = copy.deepcopy(peer.state_dict())
    got = graphkd.distil("dml", gcn(1), None, data, peers=[peer], epochs=5, progress=False).model
    task = Peers([gcn(1), gcn(2, width=5)], each_other, labels=LABEL, soft=KL(1.0, where="train_mask"))
    accuracy = graphkd.tasks.NodeClassification().score
    options = {"metric": lambda model: accuracy(model, data, "val"), "serve": lambda models: models[0]}
    want = fit(task, data, epochs=5, optimizer=adam(lr=0.01, weight_decay=5e-4), **options)[0]
    torch.testing.assert_close(got.state_dict(), want.state_dict(), rtol=0, atol=0)
    torch.testing.assert_close(peer.state_dict(), given, rtol=0, atol=0)


def test_one_alone_is_no_peer():
    with pytest.raises(ValueError, match="'models' must hold two peers at least, got 1"):
        graphkd.distil("dml", gcn(1), None, graph(), count=1)


@pytest.mark.parametrize("peers", [2, "gcn", [object()]])
def test_peers_are_modules(peers):
    """How many fresh ones there are is said by ``count``."""
    data = {"x": torch.ones(6, 3), "y": torch.arange(6) % 2, "train_mask": torch.ones(6, dtype=torch.bool)}
    with pytest.raises(TypeError, match=r"'peers' must be a list of modules, got .*: 'count' says how many fresh ones"):
        graphkd.distil("dml", torch.nn.Linear(3, 2), None, data, call=lambda m, b: m(b["x"]), peers=peers, epochs=1)
