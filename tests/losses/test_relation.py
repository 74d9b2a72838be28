"""Similarity matrices: the formulas, one pair of nodes at a time."""

from __future__ import annotations

import math
from functools import partial
from typing import ClassVar

import numpy as np
import pytest
import torch
from scipy.linalg import logm

from graphkd.losses import (
    CC,
    SP,
    LogEuclidean,
    adjacent_correlation,
    correlation_congruence,
    log_euclidean,
    similarity_preserving,
)
from tests.kernels.graphs import normal
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import STUDENT, TEACHER, WIDE_TEACHER, approx, assert_value, dot, norm, unit


def matrix(x, kernel):
    return [[kernel(a, b) for b in x] for a in x]


def squared_distance(one, other):
    pairs = [(a, b) for row, twin in zip(one, other, strict=True) for a, b in zip(row, twin, strict=True)]
    return sum((a - b) ** 2 for a, b in pairs)


# ---------------------------------------------------------------- SP
def test_similarity_preserving():
    student, teacher = ([unit(row) for row in matrix(x, dot)] for x in (STUDENT, WIDE_TEACHER))
    want = squared_distance(student, teacher) / 25
    assert_value(similarity_preserving(STUDENT, WIDE_TEACHER), want)
    assert_value(SP()(STUDENT, WIDE_TEACHER), want)
    assert_value(SP()(STUDENT, SP().digest(WIDE_TEACHER)), want)


def test_rows_of_zeros_are_like_nothing():
    student = STUDENT.clone()
    student[2] = 0
    rows = [unit(row) if norm(row) else [0.0] * 5 for row in matrix(student, dot)]
    want = squared_distance(rows, [unit(row) for row in matrix(TEACHER, dot)]) / 25
    assert_value(SP()(student, TEACHER), want)
    student.requires_grad_()
    assert torch.autograd.grad(SP()(student, TEACHER), student)[0].isfinite().all()


def test_similarity_does_not_see_rotation_or_scale():
    rotation = torch.linalg.qr(normal(3, 3, dtype=torch.float64, seed=0)).Q
    torch.testing.assert_close(SP()(3 * STUDENT @ rotation, TEACHER), SP()(STUDENT, TEACHER))
    torch.testing.assert_close(SP()(3 * TEACHER @ rotation, TEACHER), approx(0.0), rtol=0, atol=1e-14)


# ---------------------------------------------------------------- CC
def series(product, gamma, order):
    return sum(math.exp(-2 * gamma) * (2 * gamma) ** p / math.factorial(p) * product**p for p in range(order + 1))


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize(("order", "gamma"), [(0, 0.4), (1, 0.4), (2, 0.4), (3, 0.4), (2, 1.5), (5, 0.7)])
def test_gaussian_series(order, gamma, normalise):
    student, teacher = ([unit(row) if normalise else row for row in x] for x in (STUDENT, WIDE_TEACHER))
    kernels = (matrix(x, lambda a, b: series(dot(a, b), gamma, order)) for x in (student, teacher))
    want = squared_distance(*kernels) / 25
    knobs = {"gamma": gamma, "order": order, "normalise": normalise}
    torch.testing.assert_close(correlation_congruence(STUDENT, WIDE_TEACHER, **knobs), approx(want), rtol=1e-10, atol=0)
    torch.testing.assert_close(CC(**knobs)(STUDENT, WIDE_TEACHER), approx(want), rtol=1e-10, atol=0)


@pytest.mark.parametrize("normalise", [True, False])
def test_exact_gaussian(normalise):
    student, teacher = ([unit(row) if normalise else row for row in x] for x in (STUDENT, WIDE_TEACHER))
    want = squared_distance(
        *(matrix(x, lambda a, b: math.exp(-0.4 * math.dist(a, b) ** 2)) for x in (student, teacher))
    )
    assert_value(CC(order=None, normalise=normalise)(STUDENT, WIDE_TEACHER), want / 25)


def test_the_series_tends_to_the_gaussian():
    got = CC(order=30)(STUDENT, WIDE_TEACHER)
    torch.testing.assert_close(got, CC(order=None)(STUDENT, WIDE_TEACHER), rtol=1e-9, atol=0)


def test_bilinear():
    want = squared_distance(*(matrix([unit(row) for row in x], dot) for x in (STUDENT, WIDE_TEACHER))) / 25
    assert_value(CC("bilinear")(STUDENT, WIDE_TEACHER), want)


@pytest.mark.parametrize(("reduction", "factor"), [("norm", 1.0), ("norm_mean", 1 / 25)])
def test_norms(reduction, factor):
    want = math.sqrt(squared_distance(*(matrix(x, dot) for x in (STUDENT, WIDE_TEACHER)))) * factor
    assert_value(CC("bilinear", normalise=False, reduction=reduction)(STUDENT, WIDE_TEACHER), want)


def test_torchdistill():
    want = math.sqrt(squared_distance(*(matrix(x, lambda a, b: series(dot(a, b), 0.3, 2)) for x in (STUDENT, TEACHER))))
    assert_value(CC.torchdistill(gamma=0.3)(STUDENT, TEACHER), want / 25)


def test_norm_of_equals_has_a_gradient():
    student = TEACHER.clone().requires_grad_()
    value = CC.torchdistill("bilinear")(student, TEACHER)
    assert value == 0
    assert not torch.autograd.grad(value, student)[0].any()


def test_adjacent_correlation():
    error = [[abs(float(a - b)) for a, b in zip(s, t, strict=True)] for s, t in zip(STUDENT, TEACHER, strict=True)]
    assert_value(adjacent_correlation(STUDENT, TEACHER), sum(dot(error[i], error[i + 1]) for i in range(4)) / 4)


# ---------------------------------------------------------------- logarithms
@pytest.mark.parametrize("ridge", [1e-3, 0.5])
@pytest.mark.parametrize("widths", [(3, 5), (7, 6)])
def test_log_euclidean(ridge, widths):
    """On fewer columns than rows and on more; scipy takes the logarithm of the matrix."""
    student, teacher = (normal(5, width, dtype=torch.float64, seed=width) + 0.3 for width in widths)
    logarithms = []
    for x in (student, teacher):
        rows = [unit(row) if norm(row) else row.tolist() for row in x.clamp_min(0)]
        logarithms.append(logm(np.array(matrix(rows, dot)) + ridge * np.eye(5)))
    want = approx(float(((logarithms[0] - logarithms[1]) ** 2).sum()))
    torch.testing.assert_close(log_euclidean(student, teacher, ridge), want, rtol=1e-10, atol=0)
    torch.testing.assert_close(LogEuclidean(ridge)(student, teacher), want, rtol=1e-10, atol=0)


def test_equal_eigenvalues_have_a_gradient():
    """Where that of an eigendecomposition is NaN: equal nodes, columns that never fire, more columns than nodes."""
    student = torch.eye(5, 7, dtype=torch.float64)[[0, 0, 1, 2, 3]].requires_grad_()
    value = LogEuclidean()(student, TEACHER)
    assert torch.autograd.grad(value, student)[0].isfinite().all()


def test_narrow_features():
    """Float32 rows of one direction, whose distance is a tiny difference of large numbers."""
    student = normal(400, 3, dtype=torch.float32, seed=0) * 1e-3 + 1
    teacher = student + normal(400, 3, dtype=torch.float32, seed=1) * 1e-4
    want = SP()(student.double(), teacher.double())
    torch.testing.assert_close(SP()(student, teacher).double(), want, rtol=1e-6, atol=0)


# ---------------------------------------------------------------- refusals
def test_unknown_choices():
    with pytest.raises(ValueError, match=r"'kernel' must be one of \('gaussian', 'bilinear'\), got 'rbf'"):
        CC("rbf")
    with pytest.raises(ValueError, match=r"'reduction' must be one of .*, got 'sum'"):
        CC(reduction="sum")


# ---------------------------------------------------------------- behaviour
def similarities(student, teacher, batch):
    """Sum of the squared differences of all cosines."""
    one, other = (torch.nn.functional.normalize(x, dim=1) for x in (student, teacher))
    return (one @ one.t() - other @ other.t()).square().sum()


class TestRelation(Behaviour):
    cases: ClassVar = {
        "SP": Case(SP, (3, 5), distance=similarities),
        "SP_equal_widths": Case(SP, at_teacher="zero"),
        "CC": Case(CC, (3, 5), distance=similarities),
        "CC_exact": Case(partial(CC, order=None), at_teacher="zero", distance=similarities),
        "CC_cubic": Case(partial(CC, order=3, normalise=False), at_teacher="zero"),
        "CC_bilinear": Case(partial(CC, "bilinear"), at_teacher="zero", distance=similarities),
        "CC_torchdistill": Case(partial(CC, normalise=False, reduction="norm_mean"), (3, 5)),
        "LogEuclidean": Case(partial(LogEuclidean, 0.1), (3, 5)),
        "LogEuclidean_equal_widths": Case(partial(LogEuclidean, 0.1), at_teacher="zero"),
    }
