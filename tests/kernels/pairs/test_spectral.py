"""A function of a symmetric matrix and its gradient where eigenvalues are equal or near."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from graphkd.kernels import (
    log_quotient,
)
from graphkd.kernels.pairs import spectral
from tests.kernels.graphs import normal


def matrix(rows, width, seed=0):
    return normal(rows, width, dtype=torch.float64, seed=seed)


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
