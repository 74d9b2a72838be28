"""DKD and its two parts: the formulas, one node and one class at a time."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch

from graphkd.losses import DKD, NCKD, dkd, kl, nckd, tckd
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import CLASSES, LABELS, NODES, STUDENT, TEACHER, assert_value, divergence, softmax
from tests.losses.scene import SAME_WIDTH, apart


def parts(temperature):
    """T^2 times the divergence of label or not, and that among the other classes; means over nodes."""
    label, others = 0.0, 0.0
    for i in NODES:
        y = int(LABELS[i])
        rest = [c for c in CLASSES if c != y]
        p, q = softmax(TEACHER[i], temperature), softmax(STUDENT[i], temperature)
        label += divergence([p[y], 1 - p[y]], [q[y], 1 - q[y]])
        left = [softmax([side[i, c] for c in rest], temperature) for side in (TEACHER, STUDENT)]
        others += divergence(*left)
    return temperature**2 * label / 5, temperature**2 * others / 5


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_dkd(temperature):
    label, others = parts(temperature)
    assert_value(tckd(STUDENT, TEACHER, LABELS, temperature), label)
    assert_value(nckd(STUDENT, TEACHER, LABELS, temperature), others)
    assert_value(NCKD(temperature)(STUDENT, TEACHER, y=LABELS), others)
    want = 0.5 * label + 6 * others
    assert_value(dkd(STUDENT, TEACHER, LABELS, temperature, alpha=0.5, beta=6), want)
    assert_value(DKD(temperature, alpha=0.5, beta=6)(STUDENT, TEACHER, y=LABELS), want)


def test_with_the_teachers_rest_for_beta_it_is_kl():
    for i in NODES:
        row = STUDENT[i : i + 1], TEACHER[i : i + 1], LABELS[i : i + 1]
        rest = 1 - softmax(TEACHER[i], 4.0)[LABELS[i]]
        torch.testing.assert_close(dkd(*row, 4.0, beta=rest), kl(*row[:2], 4.0))


def test_certain_logits():
    """Where probabilities underflow, and where subtracting 1000 from the label's logit would not hide it."""
    student = torch.tensor([[2000.0, 0.0, 1.0]], requires_grad=True)
    value = dkd(student, torch.tensor([[0.0, 3.0, 1.0]]), torch.tensor([0]), 1.0)
    value.backward()
    assert value.isfinite()
    assert student.grad.isfinite().all()


def test_warm_up():
    loss, full = DKD(warm_up=4), dkd(STUDENT, TEACHER, LABELS)
    assert_value(loss(STUDENT, TEACHER, y=LABELS), float(full))
    for epoch, share in enumerate((0.25, 0.5, 0.75, 1.0, 1.0)):
        loss.set_epoch(epoch, 5)
        assert_value(loss(STUDENT, TEACHER, y=LABELS), share * float(full))


class TestDKD(Behaviour):
    cases: ClassVar = {
        "DKD": Case(DKD, at_teacher="zero", distance=apart, refused_width=SAME_WIDTH),
    }
