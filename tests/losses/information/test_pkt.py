"""PKT, of a teacher and of labels: the formulas, pair by pair."""

from __future__ import annotations

import math
from functools import partial
from typing import ClassVar

import pytest
import torch

from graphkd.losses import PKT, SupervisedPKT, densities, pkt, supervised_pkt
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import LABELS, NODES, STUDENT, TEACHER, WIDE_TEACHER, assert_value, dot, norm


def affinity(kernel, sigma=1.0, degree=1.0, eps=1e-7):
    def cosine(x, y):
        return (dot(x, y) / (norm(x) + eps) / (norm(y) + eps) + 1) / 2

    def squared(x, y):
        return sum(float(a - b) ** 2 for a, b in zip(x, y, strict=True))

    return {
        "cosine": cosine,
        "exponential": lambda x, y: math.exp(-math.sqrt(squared(x, y) + eps) / sigma),
        "student_t": lambda x, y: 1 / (1 + (math.sqrt(squared(x, y) + eps) / sigma) ** degree),
        "rbf": lambda x, y: math.exp(-squared(x, y) / (2 * sigma)),
    }[kernel]


def probabilities(x, kernel, *, diagonal=True, **knobs):
    values = [[affinity(kernel, **knobs)(x[i], x[j]) * (diagonal or i != j) for j in NODES] for i in NODES]
    return [[value / sum(row) for value in row] for row in values]


TERMS = {
    "kl": lambda p, q, eps: q * math.log((q + eps) / (p + eps)) if q else 0.0,
    "kl_ratio": lambda p, q, eps: q * math.log(eps + q / (p + eps)),
    "jeffreys": lambda p, q, _: (q - p) * math.log(q / p) if p else 0.0,
}


def divergence(student, teacher, kind, eps=1e-7):
    return sum(TERMS[kind](student[i][j], teacher[i][j], eps) for i in NODES for j in NODES)


@pytest.mark.parametrize("kind", TERMS)
@pytest.mark.parametrize(
    ("kernel", "knobs"),
    [
        ("cosine", {"eps": 1e-3}),
        ("exponential", {"sigma": 2.0, "eps": 0.1}),
        ("student_t", {"sigma": 2.0, "degree": 3.0}),
        ("rbf", {"sigma": 2.0}),
    ],
)
def test_pkt(kernel, knobs, kind):
    p, q = (probabilities(x, kernel, **knobs) for x in (STUDENT, WIDE_TEACHER))
    want = divergence(p, q, kind, knobs.get("eps", 1e-7)) / 25
    assert_value(pkt(STUDENT, WIDE_TEACHER, kernel, kind, **knobs), want)


@pytest.mark.parametrize("kernel", ["cosine", "student_t"])
def test_distances_with_an_eps_of_their_own(kernel):
    p, q = (probabilities(x, kernel, eps=0.2) for x in (STUDENT, WIDE_TEACHER))
    loss = PKT(kernel, "kl_ratio", eps=0.01, kernel_eps=0.2)
    assert_value(loss(STUDENT, WIDE_TEACHER), divergence(p, q, "kl_ratio", 0.01) / 25)
    assert_value(loss(STUDENT, loss.digest(WIDE_TEACHER)), divergence(p, q, "kl_ratio", 0.01) / 25)


def test_the_survey_leaves_out_the_diagonal():
    p, q = (probabilities(x, "cosine", diagonal=False, eps=0.0) for x in (STUDENT, WIDE_TEACHER))
    assert_value(PKT.survey()(STUDENT, WIDE_TEACHER), divergence(p, q, "kl", 0.0) / 5)


def test_combined_is_the_sum_of_two():
    parts = [pkt(STUDENT, TEACHER, kernel, "jeffreys", eps=1e-6) for kernel in ("cosine", "student_t")]
    assert_value(PKT("combined", "jeffreys", eps=1e-6)(STUDENT, TEACHER), float(sum(parts)))


def test_densities_of_a_teacher_are_kept():
    for kernel in ("cosine", "combined"):
        known = densities(TEACHER, kernel)
        assert_value(pkt(STUDENT, known, kernel), float(pkt(STUDENT, TEACHER, kernel)))


def test_pkt_of_labels():
    y = LABELS.tolist()
    q = [[(y[i] == y[j]) / y.count(y[i]) for j in NODES] for i in NODES]
    for kernel in ("cosine", "student_t"):
        want = divergence(probabilities(STUDENT, kernel), q, "kl") / 25
        assert_value(supervised_pkt(STUDENT, 40 - 10 * LABELS, kernel), want)  # whatever the classes are called
        assert_value(SupervisedPKT(kernel, reduction="rows")(STUDENT, y=LABELS), 5 * want)


def test_rows_that_are_equal_or_zero():
    """Finite values and gradients where distances and norms are 0."""
    student = torch.cat([STUDENT[:2], STUDENT[:2], torch.zeros(2, 3, dtype=torch.float64)]).requires_grad_()
    teacher = torch.cat([TEACHER, TEACHER[:1]])
    for kernel in ("cosine", "exponential", "student_t", "rbf"):
        for loss in (PKT(kernel), PKT(kernel, "jeffreys"), PKT.survey(kernel)):
            value = loss(student, teacher)
            assert value.isfinite()
            assert torch.autograd.grad(value, student)[0].isfinite().all()


@pytest.mark.parametrize("diagonal", [True, False])
@pytest.mark.parametrize("of_student", [True, False])
def test_opposite_rows_have_the_probability_that_eps_leaves_them(of_student, diagonal):
    """In float32 as in float64: 1 + cos is a difference there, whose logarithm counts."""
    opposite, rows = torch.tensor([[1.5, -1.0], [-1.5, 1.0], [0.3, 0.4]]), torch.tensor([[1.0, 0.1], [0.5, 1], [1, 1]])
    sides = (opposite, rows) if of_student else (rows, opposite)
    loss = PKT(divergence="jeffreys", eps=1e-6, diagonal=diagonal)
    got, want = (loss(*(side.to(dtype) for side in sides)) for dtype in (torch.float32, torch.float64))
    torch.testing.assert_close(got.double(), want, rtol=1e-4, atol=0)


def test_opposite_rows_have_probability_0():
    student = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]]).requires_grad_()
    value = PKT(divergence="jeffreys")(student, torch.eye(3))
    assert value.isfinite()
    assert torch.autograd.grad(value, student)[0].isfinite().all()


def test_refusals():
    with pytest.raises(ValueError, match=r"'kernel' must be one of \('cosine', .*\), got 'laplacian'"):
        PKT("laplacian")
    with pytest.raises(ValueError, match=r"'divergence' must be one of \('kl', 'kl_ratio', 'jeffreys'\), got 'js'"):
        PKT(divergence="js")
    with pytest.raises(ValueError, match=r"'reduction' must be one of \('pairs', 'rows'\), got 'mean'"):
        pkt(STUDENT, TEACHER, reduction="mean")


def dissimilar(student, teacher, batch):
    """Mean difference of the cosines of all pairs."""
    one, other = (torch.nn.functional.normalize(x, dim=1) for x in (student, teacher))
    return (one @ one.t() - other @ other.t()).abs().mean()


class TestPKT(Behaviour):
    cases: ClassVar = {
        "PKT": Case(partial(PKT, eps=1e-9), at_teacher="zero", distance=dissimilar),
        "PKT_survey": Case(PKT.survey, at_teacher="zero", distance=dissimilar),
        "PKT_student_t": Case(partial(PKT, "student_t", "jeffreys", degree=2.0), at_teacher="zero"),
        "PKT_exponential": Case(partial(PKT, "exponential", "kl_ratio", eps=1e-6)),
        "PKT_combined": Case(partial(PKT, "combined", "jeffreys", eps=1e-6), at_teacher="zero"),
        "SupervisedPKT": Case(
            SupervisedPKT, refused=r"'y' must hold 6 integer labels, got torch.int64 of shape \(5,\)"
        ),
    }
