"""The Triton body of the streamed log-sum-exp."""

from __future__ import annotations

import math

import pytest
import torch

from graphkd.kernels.cuda import contrast as launches
from graphkd.kernels.cuda import tiles
from graphkd.kernels.pairs import contrast
from tests.kernels.cuda.calls import DTYPES
from tests.kernels.cuda.dense import check, matrix
from tests.kernels.graphs import assert_close

SCALE = 2.0


def check_both(anchor, candidate, dtype):
    """Forward, and backward with a gradient that differs from row to row."""
    a, b = (x.double().requires_grad_() for x in (anchor, candidate))
    lse = contrast.product_logsumexp_reference(a, b, SCALE)
    grad = torch.linspace(0.5, 1.5, anchor.size(0), device=anchor.device)
    pulls = torch.autograd.grad(lse, (a, b), grad.double())
    check(contrast._product_logsumexp, (anchor, candidate, SCALE), lse, dtype=torch.float32)
    _, norm = contrast._product_logsumexp.aten(anchor, candidate, SCALE)
    check(contrast._pull, (grad, anchor, candidate, norm, SCALE), *pulls, dtype=dtype)


@pytest.mark.parametrize(("rows", "columns", "width"), [(1, 1, 1), (5, 200, 33), (130, 3, 64), (131, 150, 7)])
def test_shapes(rows, columns, width, device):
    """One tile, tiles of columns, tiles of rows, both."""
    check_both(matrix(rows, width, device), matrix(columns, width, device, seed=1), torch.float32)


@pytest.mark.parametrize("dtype", DTYPES[1:], ids=str)
def test_narrow_precision(dtype, device):
    if dtype == torch.bfloat16 and device.type == "cpu":
        pytest.skip("the interpreter takes the bits of bfloat16 factors for integers")
    check_both(matrix(5, 33, device, dtype), matrix(70, 33, device, dtype, seed=1), dtype)


def test_dtypes_that_differ(device):
    check_both(matrix(3, 5, device), matrix(4, 5, device, torch.float16, seed=1), torch.float16)


def test_one_program_takes_several_tiles(device, monkeypatch):
    """And a gradient is cut into slices."""
    monkeypatch.setattr(tiles, "_PROGRAMS", 1)
    monkeypatch.setattr(launches, "SLICE", 32)
    check_both(matrix(3, 70, device), matrix(150, 70, device, seed=1), torch.float32)


def test_small_weights_are_not_lost(device):
    """Each of many candidates pulls with less than the smallest number of float16."""
    anchor, candidate = torch.zeros(1, 16, device=device).half(), torch.ones(100, 16, device=device).half()
    norm, grad = torch.tensor([[0.0, 20.0]], device=device), torch.ones(1, device=device)
    of_anchor, of_candidate = launches.product_logsumexp_backward(grad, anchor, candidate, norm, 1.0)
    assert_close(of_anchor, torch.full((1, 16), 100 * math.exp(-20), device=device))
    assert not of_candidate.any()


def test_large_scores_stay_finite(device):
    anchor = torch.full((3, 2), 100.0, device=device)
    candidate = anchor * torch.tensor([[1.0], [-1.0], [2.0]], device=device)
    lse, norm = launches.product_logsumexp(anchor, candidate, 10.0)
    assert_close(lse, torch.full((3,), 4e5, device=device))
    pulls = launches.product_logsumexp_backward(torch.ones_like(lse), anchor, candidate, norm, 10.0)
    assert all(pull.isfinite().all() for pull in pulls)


def test_equal_candidates_share_however_large_their_scores(device):
    """Beside 1e9 float32 has no room for log 3."""
    anchor, candidate = torch.full((2, 4), 1e4, device=device), torch.full((3, 4), 1e4, device=device)
    lse, norm = launches.product_logsumexp(anchor, candidate, 2.5)
    pulls = launches.product_logsumexp_backward(torch.ones_like(lse), anchor, candidate, norm, 2.5)
    for pull, want in zip(pulls, (2.5e4, 2.5e4 * 2 / 3), strict=True):
        assert_close(pull, torch.full_like(pull, want))


@pytest.mark.parametrize(("rows", "columns"), [(0, 3), (2, 0)])
def test_nothing(rows, columns, device):
    """Without candidates the sum of exp is empty, and nothing pulls."""
    anchor, candidate = torch.ones(rows, 3, device=device), torch.ones(columns, 3, device=device)
    lse, norm = launches.product_logsumexp(anchor, candidate, 1.0)
    assert lse.tolist() == [-math.inf] * rows
    pulls = launches.product_logsumexp_backward(torch.ones_like(lse), anchor, candidate, norm, 1.0)
    assert [pull.shape for pull in pulls] == [anchor.shape, candidate.shape]
    assert not any(pull.any() for pull in pulls)
