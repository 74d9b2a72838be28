"""Exponential races, by their definition: a clock of rate w rings after E / w, and the k first to ring win."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphkd.kernels import race_top_k
from graphkd.kernels.rankings.races import race_top_k_reference
from tests.kernels.graphs import QUICK


def draw(rows, size, seed):
    """Weights, some of them zero, and clocks."""
    generator = torch.Generator().manual_seed(seed)
    weights = torch.rand(rows, size, generator=generator, dtype=torch.float64)
    weights = weights.where(weights > 0.2, 0)
    return weights, torch.empty_like(weights).exponential_(generator=generator)


@QUICK
@given(rows=st.integers(0, 4), size=st.integers(1, 7), data=st.data(), seed=st.integers(0, 99))
def test_the_first_to_ring(rows, size, data, seed):
    k = data.draw(st.integers(0, size))
    weights, clock = draw(rows, size, seed)
    want = []
    for row_weights, row_clock in zip(weights.tolist(), clock.tolist(), strict=True):
        rings = sorted((e / w, j) for j, (w, e) in enumerate(zip(row_weights, row_clock, strict=True)) if w > 0)
        winners = sorted(j for _, j in rings[:k])
        want.append(winners + [size] * (k - len(winners)))
    for race in (race_top_k, race_top_k_reference):
        got = race(weights.log(), clock, k)
        assert got.shape == (rows, k)
        assert got.dtype == torch.int64
        assert got.tolist() == want


def test_law():
    """P({a, b}) = p_a p_b / (1 - p_a) + p_b p_a / (1 - p_b) for two of three: successive sampling."""
    weights, count = (0.5, 0.3, 0.2), 40_000
    clock = torch.empty(count, 3, dtype=torch.float64).exponential_(generator=torch.Generator().manual_seed(5))
    drawn = race_top_k(torch.tensor(weights).log().double().expand(count, -1), clock, 2)
    for a, b in ((0, 1), (0, 2), (1, 2)):
        want = weights[a] * weights[b] * (1 / (1 - weights[a]) + 1 / (1 - weights[b]))
        got = float((drawn == torch.tensor([a, b])).all(dim=1).double().mean())
        assert abs(got - want) < 4 * math.sqrt(want * (1 - want) / count)


def test_sum_in_float32():
    """Half the weights' digits do not halve the clocks': the smallest of them are told apart."""
    clock = torch.tensor([[3e-9, 1e-9, 2e-9]])
    assert race_top_k(torch.zeros(1, 3, dtype=torch.float16), clock, 1).tolist() == [[1]]


def test_no_gradient():
    log_weights = torch.zeros(2, 3, requires_grad=True)
    assert not race_top_k(log_weights, torch.ones(2, 3).cumsum(1), 2).requires_grad


def test_refusals():
    with pytest.raises(ValueError, match=r"'clock' must have the shape of 'log_weights', \(2, 3\), got \(2, 4\)"):
        race_top_k(torch.zeros(2, 3), torch.ones(2, 4), 1)
    for k in (-1, 4):
        with pytest.raises(ValueError, match=f"'k' must be from 0 to 3, the number of positions, got {k}"):
            race_top_k(torch.zeros(2, 3), torch.ones(2, 3), k)
