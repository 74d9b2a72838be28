"""Gram matrices, and the distances between N x N matrices that they give, against the N x N matrices."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphkd.kernels import gram, gram_distance, polynomial_features, squared_distance_divergence
from graphkd.kernels.pairs import gram as gram_kernels
from graphkd.kernels.pairs.gram import _own_products, _summed_products
from tests.kernels.graphs import QUICK, assert_close, normal

sizes = st.integers(1, 7)


def matrix(rows, width, seed, dtype=torch.float64):
    return normal(rows, width, dtype=dtype, seed=seed)


def squared_distances(x):
    return torch.tensor([[float((a - b).square().sum()) for b in x] for a in x], dtype=torch.float64)


@QUICK
@given(rows=st.integers(0, 7), p=sizes, q=sizes, seed=st.integers(0, 99))
def test_gram(rows, p, q, seed):
    a, b, weight = matrix(rows, p, seed), matrix(rows, q, seed + 1), matrix(rows, 1, seed + 2)[:, 0]
    want = [[sum(weight[n] * a[n, i] * b[n, j] for n in range(rows)) for j in range(q)] for i in range(p)]
    assert_close(gram(a, b, weight), torch.tensor(want, dtype=torch.float64))
    assert_close(gram(a, b), gram(a, b, torch.ones(rows, dtype=torch.float64)))


@QUICK
@given(rows=sizes, p=sizes, q=sizes, seed=st.integers(0, 99))
def test_gram_distance(rows, p, q, seed):
    a, b = matrix(rows, p, seed), matrix(rows, q, seed + 1)
    want = sum((a[i] @ a[j] - b[i] @ b[j]) ** 2 for i in range(rows) for j in range(rows))
    assert_close(gram_distance(gram(a, a), gram(b, b), gram(a, b)), want)


def test_gram_distance_of_equals_is_0_and_never_negative():
    a = matrix(50, 6, 0) * 1e3
    turned = a @ torch.linalg.qr(matrix(6, 6, 1)).Q  # the same inner products, to the last digits
    assert gram_distance(gram(a, a), gram(a, a), gram(a, a)) == 0
    assert gram_distance(gram(a, a), gram(turned, turned), gram(a, turned)) >= 0


def test_gram_sums_in_float64():
    """Of 2^14 + 1 rows (more than a block) that float32 would add up to something else."""
    a = torch.full((2**14 + 1, 1), 1 / 3)
    assert_close(gram(a, a), (a.double() ** 2).sum()[None, None])


@pytest.mark.parametrize("width", [1, 4, 7, 12])
def test_halves_of_a_gram_matrix(width, monkeypatch):
    """Quarters of quarters, of an odd number of columns too; in blocks, all of it."""
    monkeypatch.setattr(gram_kernels, "_NARROW", 2)
    x = matrix(9, width, 0)
    for rows in (16, 4):
        assert_close(_own_products(x, rows), x.t() @ x)


@pytest.mark.parametrize("rows", [0, 3, 4, 12, 14])
def test_summed_products(rows):
    """Blocks of four rows: none, less than one, whole ones, a rest."""
    a, b = matrix(rows, 3, 0, torch.float32), matrix(rows, 2, 1, torch.float32)
    got = _summed_products(a, b, 4)
    assert got.dtype == torch.float64
    assert_close(got, a.double().t() @ b.double(), torch.float32)


@QUICK
@given(rows=sizes, width=sizes, offset=st.sampled_from((0.0, 0.5, 2.0)), seed=st.integers(0, 99))
def test_polynomial_features(rows, width, offset, seed):
    x = matrix(rows, width, seed)
    features = polynomial_features(x, offset)
    assert features.shape == (rows, width * (width + 1) // 2 + (width + 1) * (offset > 0))
    want = [[(a @ b + offset) ** 2 for b in x] for a in x]
    assert_close(features @ features.t(), torch.tensor(want, dtype=torch.float64))


@QUICK
@given(rows=sizes, p=sizes, q=sizes, seed=st.integers(0, 99))
def test_squared_distance_divergence(rows, p, q, seed):
    a, b = matrix(rows, p, seed), matrix(rows, q, seed + 1)
    scales = torch.tensor([1.5, 0.7], dtype=torch.float64)
    want = (squared_distances(a) / scales[0] - squared_distances(b) / scales[1]).square().sum()
    assert_close(squared_distance_divergence(a, b, *scales), want)


def test_squared_distance_divergence_far_from_the_origin():
    """Distances do not see a shift, so the digits must not be lost to it."""
    a, b, one = matrix(9, 3, 0), matrix(9, 4, 1), torch.ones((), dtype=torch.float64)
    want = squared_distance_divergence(a, b, one, one)
    torch.testing.assert_close(squared_distance_divergence(a + 1e4, b - 1e4, one, one), want, rtol=1e-9, atol=0)


def test_squared_distance_divergence_gradients():
    a, b = matrix(4, 3, 0).requires_grad_(), matrix(4, 2, 1).requires_grad_()
    scales = [torch.tensor(scale, dtype=torch.float64, requires_grad=True) for scale in (1.5, 0.7)]
    assert torch.autograd.gradcheck(squared_distance_divergence, (a, b, *scales))


@pytest.mark.parametrize("shape", [(3, 1), (1, 3), (1, 1)])
def test_single_rows_and_columns(shape):
    a = matrix(*shape, 0)
    assert_close(gram(a, a), a.t() @ a)
