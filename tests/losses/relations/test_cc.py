"""CC: the kernels, one pair of nodes at a time."""

from __future__ import annotations

import math
from functools import partial
from typing import ClassVar

import pytest
import torch

from graphkd.losses import (
    CC,
    adjacent_correlation,
    correlation_congruence,
)
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import STUDENT, TEACHER, WIDE_TEACHER, approx, assert_value, dot, unit
from tests.losses.relations.matrices import matrix, similarities, squared_distance


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


def test_unknown_choices():
    with pytest.raises(ValueError, match=r"'kernel' must be one of \('gaussian', 'bilinear'\), got 'rbf'"):
        CC("rbf")
    with pytest.raises(ValueError, match=r"'reduction' must be one of .*, got 'sum'"):
        CC(reduction="sum")


class TestCC(Behaviour):
    cases: ClassVar = {
        "CC": Case(CC, (3, 5), distance=similarities),
        "CC_exact": Case(partial(CC, order=None), at_teacher="zero", distance=similarities),
        "CC_cubic": Case(partial(CC, order=3, normalise=False), at_teacher="zero"),
        "CC_bilinear": Case(partial(CC, "bilinear"), at_teacher="zero", distance=similarities),
        "CC_torchdistill": Case(partial(CC, normalise=False, reduction="norm_mean"), (3, 5)),
    }
