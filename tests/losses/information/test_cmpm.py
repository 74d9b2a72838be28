"""Projection matching: the formula, pair by pair."""

from __future__ import annotations

import math
from functools import partial
from typing import ClassVar

import pytest
import torch

from graphkd.losses import CMPM, cmpm
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import LABELS, NODES, STUDENT, TEACHER, WIDE_TEACHER, assert_value, dot, unit
from tests.losses.scene import SAME_WIDTH


def one_way(one, other, labels, eps=1e-8):
    total = 0.0
    for i in NODES:
        weights = [math.exp(dot(one[i], unit(other[j]))) for j in NODES]
        same = [labels[j] == labels[i] for j in NODES]
        for weight, match in zip(weights, same, strict=True):
            p = weight / sum(weights)
            total += p * math.log(p / (match / sum(same) + eps))
    return total / 5


@pytest.mark.parametrize("labels", [LABELS, None], ids=["labels", "identities"])
def test_cmpm(labels):
    y = list(NODES) if labels is None else labels.tolist()
    want = one_way(STUDENT, TEACHER, y) + one_way(TEACHER, STUDENT, y)
    assert_value(cmpm(STUDENT, TEACHER, labels), want)


def test_names_of_labels_do_not_matter():
    assert_value(cmpm(STUDENT, TEACHER, 1000 - 7 * LABELS), float(cmpm(STUDENT, TEACHER, LABELS)))


def test_a_student_of_another_width_is_mapped():
    torch.manual_seed(0)
    loss = CMPM(3, 5).double()
    mapped = loss.projector(STUDENT)
    assert mapped.shape == (5, 5)
    assert_value(loss(STUDENT, WIDE_TEACHER, y=LABELS), float(cmpm(mapped, WIDE_TEACHER, LABELS).detach()))


def test_both_views_get_a_gradient():
    views = [STUDENT.clone().requires_grad_(), TEACHER.clone().requires_grad_()]
    assert all(gradient.any() for gradient in torch.autograd.grad(cmpm(*views, LABELS), views))


def test_labels_must_be_class_ids():
    with pytest.raises(ValueError, match=r"'y' must hold class ids, got torch\.float32 numbers that are not whole"):
        cmpm(STUDENT, TEACHER, LABELS + 0.5)


class TestCMPM(Behaviour):
    cases: ClassVar = {
        "CMPM": Case(CMPM, refused_width=SAME_WIDTH),
        "CMPM_projected": Case(partial(CMPM, 3, 3), refused_width=SAME_WIDTH),
    }
