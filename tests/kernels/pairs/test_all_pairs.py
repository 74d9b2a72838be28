"""Kernels over all pairs of rows beyond their references: tiles, no rows, refusals."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch

from graphkd.kernels import (
    angle_divergence,
    distance_divergence,
    mean_distance,
    product_kl,
    row_forms,
    series_divergence,
)
from graphkd.kernels.pairs import angles, distributions, tiles
from tests.kernels.graphs import assert_close, normal

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
    monkeypatch.setitem(tiles._EDGE, "cpu", 3)
    monkeypatch.setattr(angles, "_BLOCK_ELEMENTS", 2 * 11**2)
    monkeypatch.setattr(distributions, "_BLOCK_ELEMENTS", 3 * 8)
    for got, want in zip(results(), whole, strict=True):
        assert_close(got, want)


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
