"""What several teachers say together: the rules, one teacher and one row at a time."""

from __future__ import annotations

import math

import pytest
import torch

from graphkd.losses import cross_entropy, kl, soft_cross_entropy, triplet_hinge
from graphkd.schemes import (
    class_credibility,
    domain_similarity,
    entropy_reduction,
    oracle_kd,
    oracle_weights,
    selective_distillation,
    selective_fusion,
    soft_target,
    trimmed_mean,
    vote_triplets,
)
from tests.kernels.graphs import normal
from tests.losses.example import CLASSES, LABELS, NODES, STUDENT, TEACHER, assert_value, distance, softmax

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


def test_domain_similarity():
    target = [0.5, 0.5, 0.0]
    sources = [[0.5, 0.5, 0.0], [0.1, 0.2, 0.7], [0.0, 0.0, 1.0]]

    def divergence(p, q):
        return sum(a * math.log2(2 * a / (a + b)) for a, b in zip(p, q, strict=True) if a > 0)

    similar = [1 - (divergence(source, target) + divergence(target, source)) / 2 for source in sources]
    got = domain_similarity(torch.tensor(sources, dtype=torch.float64), torch.tensor(target, dtype=torch.float64))
    assert got.tolist() == pytest.approx([s / sum(similar) for s in similar], rel=1e-12, abs=1e-15)
    assert similar[0] == 1
    assert similar[2] == 0


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


def test_vote_triplets():
    triplets = torch.tensor([[0, 1, 2], [3, 4, 0], [2, 0, 4], [1, 3, 2]])
    oriented, votes = vote_triplets(TEACHERS, triplets)
    total = 0.0
    for m, (a, one, other) in enumerate(triplets.tolist()):
        nearer = [distance(x[a], x[one]) < distance(x[a], x[other]) for x in TEACHERS]
        near, far = (one, other) if sum(nearer) >= 2 else (other, one)
        assert oriented[m].tolist() == [a, near, far]
        assert votes[m] == 2 * sum(nearer) - 3
        total += max(0.0, distance(STUDENT[a], STUDENT[near]) - distance(STUDENT[a], STUDENT[far]) + 0.2) / 4
    assert (votes < 0).any()
    assert_value(triplet_hinge(*(STUDENT[rows] for rows in oriented.t())), total)


def test_a_tie_keeps_the_order():
    triplets = torch.tensor([[0, 1, 2]])
    oriented, votes = vote_triplets(torch.ones(2, 3, 1), triplets)
    assert torch.equal(oriented, triplets)
    assert votes.tolist() == [0]


def test_class_credibility():
    confusion = torch.tensor([[0.7, 0.2, 0.1], [0.0, 0.9, 0.1], [0.5, 0.1, 0.4]], dtype=torch.float64)
    weights, total = class_credibility(TEACHER, LABELS, confusion, highest=2.0, threshold=0.05), 0.0
    for i in NODES:
        for c in CLASSES:
            taken = max(float(confusion[j, c]) for j in CLASSES if j != c)
            trust = float(confusion[c, c]) * (1 - taken) * softmax(TEACHER[i])[LABELS[i]]
            want = 2 * max(0.0, trust - 0.05)
            assert float(weights[i, c]) == pytest.approx(want, rel=1e-12)
            total += (want * float(STUDENT[i, c] - TEACHER[i, c])) ** 2 / 5
    assert_value(selective_distillation(STUDENT, TEACHER, weights), total)


def test_rows_trusted_alike():
    confusion = torch.tensor([[0.7, 0.2, 0.1], [0.0, 0.9, 0.1], [0.5, 0.1, 0.4]], dtype=torch.float64)
    want = [0.7 * 0.5 - 0.1, 0.9 * 0.8 - 0.1, 0.4 * 0.9 - 0.1]
    got = class_credibility(TEACHER, None, confusion)
    torch.testing.assert_close(got, torch.tensor(want, dtype=torch.float64).expand(5, 3))


def test_selective_fusion():
    """The server is right about some rows, clients about others, nobody about one."""
    server, who = TEACHER.roll(1, dims=0), set()
    got = selective_fusion(server, TEACHERS[:2], LABELS)
    for i in NODES:
        y, answers = int(LABELS[i]), [softmax(TEACHERS[k, i]) for k in range(2)]
        right = [answer for answer in answers if max(answer) == answer[y]]
        trust = [math.exp(sum(p * math.log(p) for p in answer)) for answer in right]
        if int(server[i].argmax()) == y:
            want = softmax(server[i])
            who.add("server")
        elif right:
            want = [sum(t * answer[c] for t, answer in zip(trust, right, strict=True)) / sum(trust) for c in CLASSES]
            who.add("clients")
        else:
            want = [float(c == y) for c in CLASSES]
            who.add("label")
        assert got[i].softmax(dim=0).tolist() == pytest.approx(want, rel=1e-12)
    assert who == {"server", "clients", "label"}
    assert soft_cross_entropy(STUDENT, got).isfinite()


# ---------------------------------------------------------------- refusals
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
        (lambda: domain_similarity(TEACHER, TEACHER), r"'sources' must have shape \(K, V\) and 'target' \(V,\), got"),
        (lambda: vote_triplets(TEACHERS, LABELS), r"'triplets' must hold integers of shape \(M, 3\), got torch.int64"),
        (lambda: class_credibility(TEACHER, LABELS, TEACHER), r"'confusion' must be \(3, 3\), got \(5, 3\)"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()
