"""Fusion of peers: the targets both ways, and that all parts train."""

from __future__ import annotations

import torch

from graphkd.losses import CE
from graphkd.schemes import Fusion, Peers, mutual_fusion
from tests.core.models import CLASSES, gcn
from tests.losses.example import STUDENT, TEACHER
from tests.schemes.online.scene import all_parts_train

LOGITS = torch.stack([STUDENT, TEACHER, STUDENT - TEACHER])


def test_both_ways_of_fusion():
    fused = (STUDENT + 1).requires_grad_()
    made = mutual_fusion(LOGITS, fused)
    assert torch.equal(made.targets[0][1], fused.detach())
    assert not made.targets[0][1].requires_grad
    assert made.auxiliary["fused"].logits is fused
    torch.testing.assert_close(made.auxiliary["fused"].target, LOGITS.mean(dim=0))


def test_all_parts_train():
    rule = Fusion([8, 5], CLASSES)
    all_parts_train(Peers([gcn(1, 8), gcn(2, 5)], rule, labels=CE(where="train_mask"), hidden="convs.0"))
