"""Kernels over all pairs of rows beyond their references: tiles, duplicates, equal eigenvalues, refusals."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphkd.kernels import (
    affinities,
    angle_divergence,
    angles,
    distance_divergence,
    distributions,
    farthest_rows,
    log_quotient,
    mean_distance,
    nearest_rows,
    neighbours,
    product_kl,
    row_forms,
    series_divergence,
    spectral,
)
from tests.kernels.graphs import QUICK, assert_close, normal

ONE = torch.ones((), dtype=torch.float64)


def matrix(rows, width, seed=0):
    return normal(rows, width, dtype=torch.float64, seed=seed)


def single(x, y):
    return mean_distance(x) + mean_distance(y, squared=True)


# ---------------------------------------------------------------- tiles
TILED = {
    "mean_distance": single,
    "distance_divergence": lambda x, y: distance_divergence(x, y, 2 * ONE, 3 * ONE, delta=0.2),
    "distance_divergence_squared": lambda x, y: distance_divergence(x, y, 2 * ONE, 3 * ONE, squared=True),
    "angle_divergence": partial(angle_divergence, delta=0.3),
    "series_divergence": partial(series_divergence, coefficients=(0.0, 1.0, 0.5, 0.3)),
    "product_kl": lambda x, y: product_kl(x, x[:8], y, y[:8], 2.0, 4).square().sum(),
}


@pytest.mark.parametrize("kernel", TILED.values(), ids=TILED)
def test_tiles_do_not_show(kernel, monkeypatch):
    """A few rows at a time give what all at once give, near-duplicates among them."""
    x, y = matrix(11, 3), matrix(11, 4, 1)
    x[4:7] = x[4] + 1e-3 * x[4:7]
    x, y = x.requires_grad_(), y.requires_grad_()

    def results():
        value = kernel(x, y)
        return value.detach(), *torch.autograd.grad(value, (x, y))

    whole = results()
    monkeypatch.setitem(affinities._TILE, "cpu", 3)
    monkeypatch.setattr(angles, "_BLOCK_ELEMENTS", 2 * 11**2)
    monkeypatch.setattr(distributions, "_BLOCK_ELEMENTS", 3 * 8)
    for got, want in zip(results(), whole, strict=True):
        assert_close(got, want)


# ---------------------------------------------------------------- near and far
@QUICK
@given(
    rows=st.integers(1, 25),
    width=st.integers(1, 4),
    seed=st.integers(0, 99),
    tile=st.integers(1, 7),
    tail=st.booleans(),
)
def test_farthest_rows(rows, width, seed, tile, tail):
    """Whatever the tiles, and where a few long rows make most pairs too short to be looked at."""
    x = matrix(rows, width, seed)
    x = x**5 if tail else x
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(affinities._TILE, "cpu", tile)
        one, other = farthest_rows(x).tolist()
    assert math.dist(x[one], x[other]) == pytest.approx(max(math.dist(a, b) for a in x for b in x), rel=1e-12)


def test_equal_rows_are_not_far():
    assert not (torch.ones(4, 2)[farthest_rows(torch.ones(4, 2))].diff(dim=0)).any()


@QUICK
@given(rows=st.integers(1, 9), count=st.integers(0, 10), seed=st.integers(0, 99), queries=st.none() | st.integers(0, 9))
def test_nearest_rows(rows, count, seed, queries):
    x = matrix(rows, 2, seed)
    queries = None if queries is None else min(queries, rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "_BLOCK_ELEMENTS", 2 * rows)
        got = nearest_rows(x, count, queries)
    others = [[node for node in range(rows) if node != query] for query in range(rows if queries is None else queries)]
    want = [sorted(nodes, key=lambda node: math.dist(x[query], x[node]))[:count] for query, nodes in enumerate(others)]
    assert got.tolist() == want


def test_a_row_is_not_its_own_neighbour_among_equal_rows():
    nearest = nearest_rows(torch.ones(5, 2), 2)
    assert not (nearest == torch.arange(5)[:, None]).any()


# ---------------------------------------------------------------- distances
def test_scale_of_0_silences_a_side():
    """A single row has no mean distance."""
    x, y = matrix(4, 2), matrix(4, 3, 1)
    want = distance_divergence(torch.zeros(4, 1, dtype=torch.float64), y, ONE, ONE, floor=0.0)
    assert_close(distance_divergence(x, y, 0 * ONE, ONE, floor=0.0), want)
    assert mean_distance(x[:1]) == 0


def test_cosines_of_unequal_sides():
    """Digits are lost with the ratio of the sides, no more."""
    x = torch.tensor([[0.0, 0.0], [1e-4, 0.0], [1.0, 1.0]], dtype=torch.float64)
    y = torch.zeros(3, 2, dtype=torch.float64)  # all cosines 0
    cosines = [math.sqrt(0.5), -(1 - 1e-4) / math.hypot(1, 1 - 1e-4), (2 - 1e-4) / (2**0.5 * math.hypot(1, 1 - 1e-4))]
    want = (2 * sum(c**2 / 2 for c in cosines) + 6 * 0.5) / 27
    torch.testing.assert_close(float(angle_divergence(x, y)), want, rtol=1e-10, atol=0)


# ---------------------------------------------------------------- eigenvalues
def rotated(values):
    rotation = torch.linalg.qr(matrix(len(values), len(values), 5)).Q
    return rotation * torch.tensor(values, dtype=torch.float64) @ rotation.t()


@pytest.mark.parametrize(
    "values", [[0, 0, 0, 0], [2, 2, 2, 1], [0, 0, 1e-9, 3], [1, 1 + 1e-9, 1 + 1e-6, 1 + 1e-3], [1e-5, 2e-5, 5e-4, 1e3]]
)
def test_equal_and_near_eigenvalues(values):
    k, ridge = rotated(values), 0.1
    function = [math.log1p(v / ridge) / v if v else 1 / ridge for v in values]
    torch.testing.assert_close(log_quotient(k, ridge), rotated(function), rtol=1e-9, atol=1e-12)
    root = rotated([math.sqrt(v) for v in values]).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: log_quotient(x.t() @ x, ridge), root)


@pytest.mark.parametrize("gap", [0.0, 1e-12, 1e-7, 1e-3, 1.0])
@pytest.mark.parametrize("start", [0.0, 1e-6, 5e-4, 1e-3, 2e-3, 1.0, 1e4])
def test_divided_differences(start, gap):
    """Against numbers of 60 digits."""
    mpmath = pytest.importorskip("mpmath")
    with mpmath.workdps(60):
        u, v = mpmath.mpf(start), mpmath.mpf(start + gap)

        def g(x):
            return mpmath.log1p(x) / x if x else mpmath.mpf(1)

        want = float((g(u) - g(v)) / (u - v) if u != v else mpmath.diff(g, u) if u else mpmath.mpf(-0.5))
    got = spectral._divided_differences(torch.tensor([start, start + gap], dtype=torch.float64))
    np.testing.assert_allclose(got[0, 1], want, rtol=1e-11)
    assert got[0, 1] == got[1, 0]


# ---------------------------------------------------------------- forms and refusals
def test_no_rows():
    none, wide = torch.zeros(0, 3), torch.zeros(0, 2)
    assert mean_distance(none) == 0
    assert distance_divergence(none, wide, torch.ones(()), torch.ones(())) == 0
    assert angle_divergence(none, wide) == 0
    assert series_divergence(none, wide, (0.0, 1.0, 2.0, 3.0)) == 0
    assert row_forms(none, torch.ones(3, 2), wide).shape == (0,)


@pytest.mark.parametrize(
    "kernel",
    [
        angle_divergence,
        partial(series_divergence, coefficients=(0.0, 1.0)),
        lambda x, y: distance_divergence(x, y, ONE, ONE),
    ],
)
def test_other_rows_are_refused(kernel):
    with pytest.raises(ValueError, match=r"'teacher' must have as many rows as 'student' \(2\), got 3"):
        kernel(torch.zeros(2, 3), torch.zeros(3, 3))


def test_groups_of_unequal_length_are_refused():
    x = torch.zeros(4, 2)
    with pytest.raises(ValueError, match="'groups' must divide the 4 candidates, got 3"):
        product_kl(x, x, x, x, 1.0, 3)
