"""Differences of all-pairs similarities, by their definition: one pair at a time."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphkd.kernels import pair_divergence
from graphkd.kernels.pairs import similarity, tiles
from tests.kernels.graphs import QUICK, assert_close, normal

KERNELS = {
    "dot": lambda x, y: float(x @ y),
    "poly": lambda x, y: (float(x @ y) + 0.5) ** 3,
    "squared_euclidean": lambda x, y: float((x - y).square().sum()),
    "euclidean": lambda x, y: math.dist(x, y),
    "rbf": lambda x, y: math.exp(-(math.dist(x, y) ** 2) / (2 * 1.5)),
}
KNOBS = {"sigma": 1.5, "degree": 3, "offset": 0.5}
each_kernel = pytest.mark.parametrize("kernel", KERNELS)


def matrix(rows, width, seed):
    return normal(rows, width, dtype=torch.float64, seed=seed)


@each_kernel
@QUICK
@given(rows=st.integers(1, 6), p=st.integers(1, 5), q=st.integers(1, 5), seed=st.integers(0, 99))
def test_definition(kernel, rows, p, q, seed):
    student, teacher, k = matrix(rows, p, seed), matrix(rows, q, seed + 1), KERNELS[kernel]
    differences = [k(student[i], student[j]) - k(teacher[i], teacher[j]) for i in range(rows) for j in range(rows)]
    want = torch.tensor(differences, dtype=torch.float64).square().sum() / rows**2
    assert_close(pair_divergence(student, teacher, kernel, **KNOBS), want)


@each_kernel
@pytest.mark.parametrize("learns", [True, False])
def test_tiles_do_not_show(kernel, learns, monkeypatch):
    """Few rows at a time, and pairs of near-duplicates a few at a time, give what all at once give."""
    student, teacher = matrix(7, 3, 0).requires_grad_(), matrix(7, 4, 1).requires_grad_(learns)
    with torch.no_grad():
        student[3:] = student[3] + 1e-3 * student[3:]

    def results():
        value = pair_divergence(student, teacher, kernel, **KNOBS)
        return value.detach(), *torch.autograd.grad(value, (student, teacher) if learns else student)

    whole = results()
    monkeypatch.setitem(tiles._EDGE, "cpu", 3)
    monkeypatch.setattr(similarity, "CHUNK_ELEMENTS", 8)
    for got, want in zip(results(), whole, strict=True):
        assert_close(got, want)


@each_kernel
def test_order_of_rows_does_not_matter(kernel):
    student, teacher, order = matrix(6, 3, 0), matrix(6, 4, 1), torch.tensor([3, 1, 5, 0, 2, 4])
    got = pair_divergence(student[order], teacher[order], kernel, **KNOBS)
    assert_close(got, pair_divergence(student, teacher, kernel, **KNOBS))


@each_kernel
def test_equal_rows_have_finite_gradients(kernel):
    """The root of a squared distance has an infinite slope at 0; we take 0 there."""
    student = torch.ones(3, 2, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(pair_divergence(student, matrix(3, 2, 0), kernel), student)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("gap", [1e-3, 1e-6])
def test_near_duplicates(gap):
    """The distance of two rows that differ in the last digits only, far from the origin."""
    one = matrix(1, 8, 0)
    student = torch.cat([one + 100, one + 100 + gap, -one])
    want = similarity.pair_divergence_reference(
        student[:2], torch.zeros(2, 8, dtype=torch.float64), "squared_euclidean"
    )
    got = pair_divergence(student[:2], torch.zeros(2, 8, dtype=torch.float64), "squared_euclidean")
    torch.testing.assert_close(got, want, rtol=1e-9, atol=0)
    teacher = torch.cat([student[:1], student[:1], student[2:]])  # the only difference is the tiny distance
    want = similarity.pair_divergence_reference(student, teacher, "euclidean")
    torch.testing.assert_close(pair_divergence(student, teacher, "euclidean"), want, rtol=1e-9, atol=0)


def test_no_rows():
    assert pair_divergence(torch.zeros(0, 3), torch.zeros(0, 2), "rbf") == 0


def test_refusals():
    with pytest.raises(ValueError, match=r"'kernel' must be one of \('dot', .*, got 'cosine'"):
        pair_divergence(torch.zeros(2, 3), torch.zeros(2, 3), "cosine")
    with pytest.raises(ValueError, match=r"'teacher' must have as many rows as 'student' \(2\), got 3"):
        pair_divergence(torch.zeros(2, 3), torch.zeros(3, 3), "dot")
