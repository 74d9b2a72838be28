"""Labels, soft targets and logits: the formulas, one node and one class at a time."""

from __future__ import annotations

import math
from functools import partial
from typing import ClassVar

import pytest
import torch

from graphkd.losses import BCE, CE, KL, LogitMSE, SoftBCE, binary_cross_entropy, cross_entropy, kl, logit_mse, soft_bce
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import LABELS, NODES, STUDENT, TARGETS, TEACHER, assert_value

CLASSES = range(3)


def softmax(row, temperature=1.0):
    exps = [math.exp(float(z) / temperature) for z in row]
    return [e / sum(exps) for e in exps]


def sigmoid(z):
    return 1 / (1 + math.exp(-float(z)))


def entropy_of(targets, student):
    """Mean binary cross-entropy of logits with targets."""
    terms = []
    for i in NODES:
        for c in CLASSES:
            p, y = sigmoid(student[i][c]), float(targets[i][c])
            terms.append(-y * math.log(p) - (1 - y) * math.log(1 - p))
    return sum(terms) / len(terms)


# ---------------------------------------------------------------- definitions
def test_cross_entropy():
    want = sum(-math.log(softmax(STUDENT[i])[LABELS[i]]) for i in NODES) / 5
    assert_value(cross_entropy(STUDENT, LABELS), want)
    assert_value(CE()(STUDENT, y=LABELS), want)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32])
def test_labels_of_any_integer_type(dtype):
    assert torch.equal(cross_entropy(STUDENT, LABELS.to(dtype)), cross_entropy(STUDENT, LABELS))


def test_binary_cross_entropy():
    assert_value(binary_cross_entropy(STUDENT, TARGETS), entropy_of(TARGETS, STUDENT))
    assert_value(BCE()(STUDENT, y=TARGETS), entropy_of(TARGETS, STUDENT))


def test_binary_cross_entropy_of_integer_labels():
    labels = (TARGETS > 0.5).long()
    assert_value(BCE()(STUDENT, y=labels), entropy_of(labels, STUDENT))


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


def test_soft_bce():
    want = entropy_of([[sigmoid(z) for z in row] for row in TEACHER], STUDENT)
    assert_value(soft_bce(STUDENT, TEACHER), want)
    assert_value(SoftBCE()(STUDENT, TEACHER), want)


def test_logit_mse():
    want = sum((float(STUDENT[i, c]) - float(TEACHER[i, c])) ** 2 for i in NODES for c in CLASSES) / 10
    assert_value(logit_mse(STUDENT, TEACHER), want)
    assert_value(LogitMSE()(STUDENT, TEACHER), want)


# ---------------------------------------------------------------- refusals
@pytest.mark.parametrize(
    ("y", "message"),
    [
        (torch.tensor([0, 1, 2, 3, 0]), r"'y' must hold labels in \[0, 3\), got labels from 0 to 3"),
        (torch.tensor([0, 1, -1, 2, 0]), r"'y' must hold labels in \[0, 3\), got labels from -1 to 2"),
        (torch.zeros(5), r"'y' must hold 5 integer labels, got torch.float32 of shape \(5,\)"),
        (torch.zeros(5, 1, dtype=torch.int64), r"'y' must hold 5 integer labels, got torch.int64 of shape \(5, 1\)"),
    ],
)
def test_wrong_labels(y, message):
    with pytest.raises(ValueError, match=message):
        cross_entropy(STUDENT, y)


def test_wrong_targets():
    with pytest.raises(ValueError, match=r"'y' must have the shape of the logits, \(5, 3\), got \(5,\)"):
        binary_cross_entropy(STUDENT, LABELS)


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


# ---------------------------------------------------------------- behaviour
def apart(student, teacher, batch):
    """Total variation between the predicted classes."""
    return (student.softmax(dim=1) - teacher.softmax(dim=1)).abs().sum()


def per_label(student, teacher, batch):
    return (student.sigmoid() - teacher.sigmoid()).abs().sum()


def several(graph, width):
    """Labels of which a node may have none or many."""
    return {"y": (torch.arange(graph.num_nodes * width).reshape(-1, width) % 3 == 0).double()}


WIDTH = r"'teacher' must be as wide as 'student' \(3\), got 4"


class TestResponse(Behaviour):
    cases: ClassVar = {
        "CE": Case(CE, refused=r"'y' must hold 6 integer labels, got torch.int64 of shape \(5,\)"),
        "BCE": Case(BCE, facts=several, refused=r"'y' must have the shape of the logits, \(6, 3\), got \(5, 3\)"),
        "KL": Case(partial(KL, 4.0), at_teacher="zero", distance=apart, refused_width=WIDTH),
        "KL_elementmean": Case(
            partial(KL, reduction="elementmean", rescale=False), at_teacher="zero", distance=apart, refused_width=WIDTH
        ),
        "SoftBCE": Case(SoftBCE, at_teacher="least", distance=per_label, refused_width=WIDTH),
        "LogitMSE": Case(LogitMSE, at_teacher="zero", distance=apart, refused_width=WIDTH),
    }
