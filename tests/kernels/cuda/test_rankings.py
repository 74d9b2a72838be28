"""The Triton bodies of rankings' likelihood."""

from __future__ import annotations

import math

import pytest
import torch

from graphkd.kernels.cuda import rankings as launches
from graphkd.kernels.rankings import likelihood
from tests.kernels.cuda.calls import DTYPES
from tests.kernels.cuda.dense import check, matrix
from tests.kernels.graphs import assert_close


def check_both(scores, rest, floor, dtype=torch.float32):
    """Forward and backward."""
    s, r = (x.double().requires_grad_() for x in (scores, rest))
    value = likelihood.ranking_log_likelihood_reference(s, r, floor)
    check(likelihood._ranking_log_likelihood, (scores, rest, floor), value, dtype=torch.float32)
    denominators = likelihood._ranking_log_likelihood.aten(scores, rest, floor)[1]
    pulls = torch.autograd.grad(value.sum(), (s, r))
    check(likelihood._ranking_backward, (scores, rest, denominators, floor), *pulls, dtype=dtype)


@pytest.mark.parametrize("floor", [0.0, 2.0])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("lists", "places"), [(1, 1), (3, 1), (5, 7)])
def test_shapes(lists, places, dtype, floor, device):
    rest = matrix(lists, 1, device, dtype, seed=1)[:, 0]
    rest[0] = -math.inf  # no further candidates
    check_both(4 * matrix(lists, places, device, dtype), rest, floor)


@pytest.mark.parametrize("floor", [0.0, 2.0])
def test_tiles_of_places_and_of_lists(floor, device, monkeypatch):
    """A list longer than a tile is carried from tile to tile."""
    monkeypatch.setattr(launches, "_PLACES", 4)
    monkeypatch.setattr(launches, "_ENTRIES", 8)
    check_both(matrix(3, 11, device), matrix(3, 1, device, seed=1)[:, 0], floor)


def test_scores_far_apart_stay_finite(device):
    """Log-sums-exp and their gradients where exp would overflow and vanish."""
    scores = torch.tensor([[900.0, -900.0, 0.0, 500.0, -1e5], [-1e4, -2e4, -3e4, -3e4, -4e4]], device=device)
    rest = torch.tensor([-1e5, 3e4], device=device)
    s, r = (x.double().requires_grad_() for x in (scores, rest))
    want = likelihood.ranking_log_likelihood_reference(s, r, 0.0)
    values, denominators = launches.ranking_log_likelihood(scores, rest, 0.0)
    assert_close(values, want)
    pulls = launches.ranking_log_likelihood_backward(scores, rest, denominators, 0.0)
    for one, other in zip(pulls, torch.autograd.grad(want.sum(), (s, r)), strict=True):
        assert_close(one, other, torch.float16, factor=2.0)  # exp of what float32 holds to 1/100 at -1e5


def test_no_lists(device):
    nothing = torch.zeros(0, 3, device=device), torch.zeros(0, device=device)
    values, denominators = launches.ranking_log_likelihood(*nothing, 0.0)
    assert (values.shape, denominators.shape) == ((0,), (0, 3))
    assert launches.ranking_log_likelihood_backward(*nothing, denominators, 0.0)[0].shape == (0, 3)
