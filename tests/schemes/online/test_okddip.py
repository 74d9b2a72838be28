"""Attention over peers and their leader: the targets by loops, and who is kept."""

from __future__ import annotations

import pytest
import torch

import graphkd
from graphkd.losses import CE
from graphkd.schemes import PeerAttention, Peers
from tests.core.models import gcn, graph
from tests.losses.example import NODES, STUDENT, TEACHER, dot, softmax
from tests.schemes.online.scene import all_parts_train

LOGITS = torch.stack([STUDENT, TEACHER, STUDENT - TEACHER])


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


def test_all_parts_train():
    torch.manual_seed(0)
    models = [gcn(seed) for seed in range(3)]
    all_parts_train(Peers(models, PeerAttention(8), labels=CE(where="train_mask"), hidden="convs.0"))


def test_the_student_leads():
    """Its weights reach no peer, and it is what comes back."""
    options = {"hidden": "convs.0", "peers": [gcn(2), gcn(3)], "epochs": 1, "progress": False}
    got = graphkd.distil("okddip", gcn(1), None, graph(), **options).model
    lr = 0.01  # a step of Adam goes about so far
    for new, old in zip(got.parameters(), gcn(1).parameters(), strict=True):
        assert (new - old).abs().max() < 2 * lr


def test_a_leader_needs_two_peers():
    with pytest.raises(ValueError, match="there must be two peers and the student that they lead to, at least, got 2"):
        graphkd.distil("okddip", gcn(1), None, graph(), hidden="convs.0", count=2)
