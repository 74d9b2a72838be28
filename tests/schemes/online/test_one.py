"""Gated branches on one trunk: the targets by loops, and that all parts train."""

from __future__ import annotations

import copy

import torch

import graphkd
from graphkd.losses import CE
from graphkd.schemes import Gate, Peers, gated_ensemble, shared_trunk
from tests.core.models import gcn, graph
from tests.losses.example import NODES, STUDENT, TEACHER, softmax
from tests.schemes.online.scene import all_parts_train

LOGITS = torch.stack([STUDENT, TEACHER, STUDENT - TEACHER])
SCORES = torch.stack([STUDENT[:, 0], TEACHER[:, 1], -STUDENT[:, 2]], dim=1)


def test_gated_ensemble():
    made = gated_ensemble(LOGITS.clone().requires_grad_(), SCORES)
    for i in NODES:
        gates = softmax([max(float(s), 0) for s in SCORES[i]])
        want = sum(gate * peer[i] for gate, peer in zip(gates, LOGITS, strict=True))
        torch.testing.assert_close(made.auxiliary["ensemble"].logits[i].detach(), want)
    ((share, target),) = made.targets
    assert share == 1
    assert not target.requires_grad
    assert made.auxiliary["ensemble"].target is None  # it learns the labels alone


def test_all_parts_train():
    models = shared_trunk([gcn(seed) for seed in range(3)], "convs.0")
    all_parts_train(Peers(models, Gate(8, 3), labels=CE(where="train_mask"), hidden="convs.0"))


def test_the_trunk_is_shared():
    """Branches whose own trunks are others learn the same: they are the student's."""
    data, branches = graph(), [gcn(2), gcn(3)]
    others = copy.deepcopy(branches)
    for branch in others:
        torch.nn.init.ones_(branch.convs[0].lin.weight)
    found = [
        graphkd.distil("one", gcn(1), None, data, hidden="convs.0", peers=peers, epochs=3, progress=False).model
        for peers in (branches, others)
    ]
    torch.testing.assert_close(found[0].state_dict(), found[1].state_dict(), rtol=0, atol=0)
