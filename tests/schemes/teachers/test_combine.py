"""What several teachers say together: the rules, one teacher and one row at a time."""

from __future__ import annotations

import math

import pytest
import torch

from graphkd.losses import cross_entropy, kl
from graphkd.schemes import entropy_reduction, oracle_kd, oracle_weights, soft_target, trimmed_mean
from tests.kernels.graphs import normal
from tests.losses.example import CLASSES, LABELS, NODES, STUDENT, TEACHER, assert_value, softmax

TEACHERS = torch.stack([TEACHER, TEACHER.flip(0), 2 * STUDENT.flip(1)])
EACH = range(3)
OF_TEACHERS = torch.tensor([1.0, 0.0, 3.0], dtype=torch.float64)
OF_ROWS = normal(3, 5, dtype=torch.float64, seed=2).abs()


def share(weights, k, i):
    if weights is None:
        return 1 / 3
    column = weights if weights.dim() == 1 else weights[:, i]
    return float(column[k] / column.sum())


@pytest.mark.parametrize("weights", [None, OF_TEACHERS, OF_ROWS], ids=["equal", "of_teachers", "of_rows"])
@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_soft_target(weights, temperature):
    by_probability, by_logit = (
        soft_target(TEACHERS, temperature, weights=weights, average=average) for average in ("probabilities", "logits")
    )
    for i in NODES:
        shares = [share(weights, k, i) for k in EACH]
        answers = [softmax(TEACHERS[k, i], temperature) for k in EACH]
        mean = [sum(shares[k] * float(TEACHERS[k, i, c]) for k in EACH) for c in CLASSES]
        assert softmax(by_logit[i], temperature) == pytest.approx(softmax(mean, temperature), rel=1e-12)
        want = [sum(shares[k] * answers[k][c] for k in EACH) for c in CLASSES]
        assert softmax(by_probability[i], temperature) == pytest.approx(want, rel=1e-12)


def test_one_teacher_says_what_it_says():
    assert kl(TEACHER, soft_target(TEACHER[None], 3.0), 3.0).abs() < 1e-14


def test_entropy_reduction():
    got = entropy_reduction(TEACHERS, 0.1).softmax(dim=1)
    for i in NODES:
        mean = [sum(softmax(TEACHERS[k, i])[c] for k in EACH) / 3 for c in CLASSES]
        assert got[i].tolist() == pytest.approx(softmax(mean, 0.1), rel=1e-12)


@pytest.mark.parametrize("trim", [0, 1, 2])
def test_trimmed_mean(trim):
    clients = normal(5, 4 * 2, dtype=torch.float64, seed=3).reshape(5, 4, 2)
    got = trimmed_mean(clients, trim)
    for i in range(4):
        for c in range(2):
            kept = sorted(clients[:, i, c].tolist())[trim : 5 - trim]
            assert float(got[i, c]) == pytest.approx(sum(kept) / len(kept), rel=1e-12)


def test_oracle_kd():
    """One label that no teacher gets right, and some that some do."""
    total, right = 0.0, [[int(TEACHERS[k, i].argmax()) == int(LABELS[i]) for k in EACH] for i in NODES]
    assert {sum(row) for row in right} >= {0, 1}
    for i in NODES:
        answers = [softmax(TEACHERS[k, i], 3.0) for k in EACH if right[i][k]]
        if answers:
            p = [sum(answer[c] for answer in answers) / len(answers) for c in CLASSES]
            q = softmax(STUDENT[i], 3.0)
            total += 9 * sum(p[c] * math.log(p[c] / q[c]) for c in CLASSES) / 5
    assert oracle_weights(TEACHERS, LABELS).t().tolist() == right
    want = float(cross_entropy(STUDENT, LABELS)) + 0.5 * total
    assert_value(oracle_kd(STUDENT, TEACHERS, LABELS, 3.0, weight=0.5), want)


def test_no_teacher_is_right():
    wrong = TEACHERS.argmin(dim=2)[0]
    student = STUDENT.clone().requires_grad_()
    value = oracle_kd(student, TEACHERS[:1], wrong)
    value.backward()
    assert_value(value, float(cross_entropy(STUDENT, wrong)))
    assert student.grad.isfinite().all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: soft_target(TEACHER), r"'teachers' must have shape \(K, N, C\), K above 0, got \(5, 3\)"),
        (lambda: soft_target(TEACHERS[:0]), r"'teachers' must have shape \(K, N, C\), K above 0, got \(0, 5, 3\)"),
        (lambda: soft_target(TEACHERS, 0.0), "'temperature' must be positive, got 0.0"),
        (lambda: soft_target(TEACHERS, average="median"), r"'average' must be one of .* got 'median'"),
        (
            lambda: soft_target(TEACHERS, weights=torch.ones(2)),
            r"'weights' must have shape \(3,\) or \(3, 5\), got \(2,\)",
        ),
        (lambda: trimmed_mean(TEACHERS, 2), "'trim' must leave one of 3 teachers, got 2"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()
