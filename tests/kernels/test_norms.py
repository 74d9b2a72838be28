"""Lengths, directions and correlations: the formulas by hand, and nothing where there is nothing to compare."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from graphkd.kernels.norms import (
    absolute_powers,
    correlations,
    cosines,
    deviations,
    inverse_norms,
    rescaled,
    unit_vectors,
)

HALF = (torch.float16, torch.bfloat16)
ROWS = torch.tensor([[3.0, 4.0], [0.0, 2.0], [-1.0, 1.0]], dtype=torch.float64)
OTHERS = torch.tensor([[0.5, -1.0], [1.0, 1.0], [2.0, 0.25]], dtype=torch.float64)


def leaf(x):
    return x.clone().requires_grad_()


def slope(value, x):
    return torch.autograd.grad(value.sum(), x)[0]


def test_by_hand():
    torch.testing.assert_close(inverse_norms(ROWS), torch.tensor([0.2, 0.5, 0.5**0.5], dtype=torch.float64))
    torch.testing.assert_close(inverse_norms(ROWS, 0, keepdim=True), 1 / ROWS.square().sum(0, keepdim=True).sqrt())
    torch.testing.assert_close(unit_vectors(ROWS)[0], torch.tensor([0.6, 0.8], dtype=torch.float64))
    torch.testing.assert_close(unit_vectors(ROWS, eps=0.5)[0], ROWS[0] / 5.5)
    torch.testing.assert_close(cosines(ROWS, OTHERS), torch.nn.functional.cosine_similarity(ROWS, OTHERS))
    torch.testing.assert_close(correlations(ROWS, ROWS, 0), torch.ones(2, dtype=torch.float64))
    want = torch.corrcoef(torch.stack([ROWS[:, 0], OTHERS[:, 0]]))[0, 1]
    torch.testing.assert_close(correlations(ROWS, OTHERS, 0)[0], want)


@pytest.mark.parametrize("function", [unit_vectors, inverse_norms, lambda x: unit_vectors(x, 0, eps=0.1)])
def test_slopes(function):
    assert gradcheck(function, (leaf(ROWS),))
    assert gradgradcheck(function, (leaf(ROWS),))


@pytest.mark.parametrize("eps", [0.0, 1e-2])
def test_slopes_of_correlations(eps):
    assert gradcheck(lambda x, y: correlations(x, y, 0, eps=eps), (leaf(ROWS), leaf(OTHERS)))


@pytest.mark.parametrize("size", [0.0, 1e-30, 1e-13])
def test_a_row_of_zeros_has_no_direction_and_no_slope(size):
    x = leaf(torch.tensor([[size, 0.0], [3.0, 4.0]]))
    for eps in (0.0, 1e-7):
        unit = unit_vectors(x, eps=eps)
        assert not unit[0].any()
        assert not slope(unit, x)[0].any()
    assert inverse_norms(x)[0] == 0
    assert not slope(cosines(x, torch.ones(2, 2)), x)[0].any()


@pytest.mark.parametrize("value", [0.0, 1.0, 0.1, 1e3, -7.3])
@pytest.mark.parametrize("rows", [2, 7, 1000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_constant_correlates_with_nothing(value, rows, dtype):
    """What its entries differ by from their mean is rounding: no entry of the slope is other than 0."""
    x, y = leaf(torch.full((rows, 3), value, dtype=dtype)), torch.randn(rows, 3, dtype=dtype)
    assert not deviations(x, 0).any()
    for dim in (0, 1):
        found = correlations(x, y, dim)
        assert not found.any()
        assert not slope(found, x).any()


def test_what_varies_a_little_is_no_constant():
    x = 1 + 1e-5 * torch.tensor([[1.0], [2.0], [4.0]])
    torch.testing.assert_close(correlations(x, x, 0), torch.ones(1))


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_what_is_no_number_stays_seen(bad):
    x = ROWS.clone()
    x[1, 0] = bad
    for found in (
        unit_vectors(x),
        deviations(x, 0),
        correlations(x, OTHERS, 0),
        cosines(x, OTHERS),
        rescaled(x, (0, 1)),
    ):
        assert not found.isfinite().all()


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("scale", [1e-3, 1.0, 3e4])
def test_half_precision_is_summed_in_float32(dtype, scale):
    x, y = (scale * torch.randn(4, 3).clamp(-2, 2)).to(dtype), torch.randn(4, 3).to(dtype)
    for function in (unit_vectors, inverse_norms, lambda x: cosines(x, y), lambda x: correlations(x, y, 0)):
        found, want = function(x), function(x.float())
        assert found.dtype == torch.float32
        assert torch.equal(found, want)


def test_no_slope_is_added_in_half_precision():
    """Of a small row: both its parts are beyond 65504, and their sum is not."""
    x = leaf(torch.tensor([[6e-6, 6e-6, 0.0]], dtype=torch.float16))
    want = slope(unit_vectors(wide := leaf(x.detach().float())) * torch.tensor([1.0, 1.0, 0.2]), wide)
    got = slope(unit_vectors(x) * torch.tensor([1.0, 1.0, 0.2]), x)
    torch.testing.assert_close(got, want.half(), rtol=1e-2, atol=1.0)


@pytest.mark.parametrize("power", [0.5, 1.0, 1.5, 3.0])
def test_absolute_powers(power):
    x = leaf(torch.tensor([-2.0, 0.0, 0.25], dtype=torch.float64))
    found = absolute_powers(x, power)
    torch.testing.assert_close(found.detach(), x.detach().abs() ** power)
    want = power * x.detach().abs() ** (power - 1) * x.detach().sign()
    want[1] = 0
    torch.testing.assert_close(slope(found, x), want)


def test_rescaled():
    x = leaf(ROWS)
    torch.testing.assert_close(rescaled(x, (0, 1)).detach(), ROWS / 4)
    torch.testing.assert_close(slope(rescaled(x, (0, 1)), x), torch.full_like(ROWS, 0.25))
    assert not rescaled(torch.zeros(2, 3), (0, 1)).any()
    assert rescaled(torch.zeros(0, 3), (0, 1)).shape == (0, 3)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
def test_nothing(shape):
    x = leaf(torch.zeros(shape))
    for found in (unit_vectors(x), deviations(x, 0), correlations(x, x, 0), cosines(x, x)):
        found.sum().backward()
    assert not x.grad.any()
