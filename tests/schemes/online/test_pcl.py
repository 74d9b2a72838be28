"""Collaboration of peers: the targets, and that all parts train."""

from __future__ import annotations

import torch

from graphkd.losses import CE
from graphkd.schemes import Collaboration, Peers, collaboration
from tests.core.models import CLASSES, gcn
from tests.losses.example import STUDENT, TEACHER
from tests.schemes.online.scene import all_parts_train

LOGITS = torch.stack([STUDENT, TEACHER, STUDENT - TEACHER])


def test_collaboration():
    averaged = LOGITS * 0.3
    ensemble, *means = collaboration(LOGITS, STUDENT.clone().requires_grad_(), averaged).targets
    assert ensemble[0] == 1
    assert not ensemble[1].requires_grad
    for k in range(3):
        found = sorted(float(target[k, 0, 0]) for _, target in means)
        assert found == sorted(float(averaged[j, 0, 0]) for j in range(3) if j != k)
    assert [share for share, _ in means] == [0.5, 0.5]


def test_all_parts_train():
    rule = Collaboration([8, 5], CLASSES)
    labels = CE(where="train_mask")
    all_parts_train(Peers([gcn(1, 8), gcn(2, 5)], rule, labels=labels, hidden="convs.0", decay=0.9))
