"""Soft targets: the formula, one node and one class at a time."""

from __future__ import annotations

import math
from functools import partial
from typing import ClassVar

import pytest
import torch

from graphkd.losses import KL, kl
from graphkd.losses.response.kd import kd_method
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import CLASSES, NODES, STUDENT, TEACHER, assert_value, softmax
from tests.losses.methods import problem
from tests.losses.scene import SAME_WIDTH, apart


@pytest.mark.parametrize("temperature", [1.0, 4.0, 0.5])
@pytest.mark.parametrize("rescale", [True, False])
@pytest.mark.parametrize("reduction", ["batchmean", "elementmean"])
def test_kl(temperature, rescale, reduction):
    total = 0.0
    for i in NODES:
        p, q = softmax(TEACHER[i], temperature), softmax(STUDENT[i], temperature)
        total += sum(p[c] * (math.log(p[c]) - math.log(q[c])) for c in CLASSES)
    want = total / (5 if reduction == "batchmean" else 15) * (temperature**2 if rescale else 1)
    assert_value(kl(STUDENT, TEACHER, temperature, reduction=reduction, rescale=rescale), want)
    assert_value(KL(temperature, reduction=reduction, rescale=rescale)(STUDENT, TEACHER), want)


def test_kl_of_log_probabilities():
    """At temperature 1 a stored log-softmax is as good as the logits."""
    torch.testing.assert_close(kl(STUDENT, TEACHER.log_softmax(dim=1)), kl(STUDENT, TEACHER))


def test_kl_of_certain_teachers():
    """A probability that underflows to 0 adds 0, not NaN."""
    sure = torch.tensor([[1000.0, 0.0], [0.0, -1000.0]], requires_grad=True)
    value = kl(torch.zeros(2, 2), sure)
    torch.testing.assert_close(value.detach(), torch.tensor(math.log(2)))
    value = kl(sure, torch.zeros(2, 2))
    value.backward()
    assert value.isfinite()
    assert sure.grad.isfinite().all()


@pytest.mark.parametrize("temperature", [0.0, -1.0])
def test_wrong_temperature(temperature):
    with pytest.raises(ValueError, match=f"'temperature' must be positive, got {temperature}"):
        kl(STUDENT, TEACHER, temperature)


def test_wrong_reduction():
    with pytest.raises(ValueError, match=r"'reduction' must be one of \('batchmean', 'elementmean'\), got 'mean'"):
        KL(reduction="mean")(STUDENT, TEACHER)


def test_logits_without_nodes():
    with pytest.raises(ValueError, match=r"'student' must have shape \(N, width\), got \(3,\)"):
        kl(STUDENT[0], TEACHER[0])


def test_the_methods_weights_sum_to_1():
    (labels, ce), (soft, loss) = kd_method(problem(), temperature=2.0, label_weight=0.25).parts()
    assert (labels, soft) == (0.25, 0.75)
    assert (ce.where, loss.where, loss.temperature) == ("train_mask", None, 2.0)


class TestKL(Behaviour):
    cases: ClassVar = {
        "KL": Case(partial(KL, 4.0), at_teacher="zero", distance=apart, refused_width=SAME_WIDTH),
        "KL_elementmean": Case(
            partial(KL, reduction="elementmean", rescale=False),
            at_teacher="zero",
            distance=apart,
            refused_width=SAME_WIDTH,
        ),
    }


def test_a_kept_teacher_is_softened_once():
    """The digest is the teacher's log-probabilities; above the budget its logits stay."""
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 6, 4, dtype=torch.float64)
    loss = KL(3.0)
    digest = loss.digest(teacher)
    torch.testing.assert_close(digest.log_prob, (teacher / 3).log_softmax(dim=1))
    assert loss(student, digest) == loss(student, teacher)
    huge = teacher[:1, :1].expand(1 << 13, (1 << 11) + 1)
    assert loss.digest(huge) is huge
