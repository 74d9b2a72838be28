"""The mean answer of several teachers: the loss of a step."""

from __future__ import annotations

import pytest
import torch

import graphkd
from graphkd import Frozen
from graphkd.losses import cross_entropy, kl
from graphkd.schemes import soft_target
from tests.core.models import gcn, graph


@pytest.mark.parametrize(("name", "average"), [("ensemble", "probabilities"), ("ensemble_logits", "logits")])
def test_the_loss_of_a_step(name, average):
    data, student, teachers, seen = graph(), gcn(1), [gcn(2), gcn(3)], []
    graphkd.distil(name, student, teachers, data, temperature=2.0, label_weight=0.3, epochs=1, log=seen.append)
    s, rows = Frozen(student)(data)["logits"], data.train_mask
    target = soft_target(torch.stack([Frozen(one)(data)["logits"] for one in teachers]), 2.0, average=average)
    want = 0.3 * cross_entropy(s[rows], data.y[rows]) + 0.7 * kl(s, target, 2.0)
    assert seen[0]["loss"] == pytest.approx(float(want), rel=1e-5)


def test_one_teacher_is_too_few():
    with pytest.raises(ValueError, match=r"'ensemble' needs several teachers: give graphkd\.distil"):
        graphkd.distil("ensemble", gcn(1), gcn(2), graph(), epochs=1)


def test_an_average_that_is_none():
    with pytest.raises(ValueError, match=r"'average' must be one of .* got 'median'"):
        graphkd.distil("ensemble", gcn(1), [gcn(2), gcn(3)], graph(), average="median", epochs=1)
