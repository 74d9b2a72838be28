"""The Triton body of exponential races: ATen body, reference and launch draw the same positions."""

from __future__ import annotations

import math

import pytest
import torch

from graphkd.kernels.cuda import races as launches
from graphkd.kernels.rankings import races
from tests.kernels.cuda.calls import DTYPES
from tests.kernels.cuda.dense import matrix


def clocks(rows, size, device, dtype=torch.float32):
    generator = torch.Generator().manual_seed(7)
    return torch.empty(rows, size, dtype=torch.float64).exponential_(generator=generator).to(dtype).to(device)


def check(log_weights, clock, k):
    got = launches.race_top_k(log_weights, clock, k)
    assert got.tolist() == races._race_top_k.aten(log_weights, clock, k).tolist()
    assert got.tolist() == races.race_top_k_reference(log_weights.double(), clock.double(), k).tolist()
    assert got.dtype == torch.int64


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("rows", "size", "k"), [(1, 1, 1), (3, 7, 4), (2, 5, 5), (2, 3, 0), (0, 3, 1)])
def test_shapes(rows, size, k, dtype, device):
    check(4 * matrix(rows, size, device, dtype), clocks(rows, size, device), k)


@pytest.mark.parametrize("k", [1, 20, 49, 50])
def test_rows_longer_than_a_block(k, device, monkeypatch):
    """The rows' weights alike, as a vector expanded; some excluded, no more than may be."""
    monkeypatch.setattr(launches, "_BLOCK", 16)
    log_weights = matrix(50, 1, device)[:, 0].clone()
    log_weights[3:5] = -math.inf
    check(log_weights.expand(3, -1), clocks(3, 50, device), k)


def test_keys_of_any_size(device):
    """Signs, magnitudes and zero in the order of the numbers."""
    log_weights = torch.tensor([[3e38, -3e38, 0.0, 1e-40, -1e-40, -2.0, 2.0, -math.inf]], device=device)
    order = [0, 6, 3, 2, 4, 5, 1]
    for k in range(8):
        got = launches.race_top_k(log_weights, torch.ones_like(log_weights), k)
        assert got.tolist() == [sorted(order[:k])]


def test_equal_keys(device, monkeypatch):
    """Of equal keys the first positions win, across blocks too."""
    monkeypatch.setattr(launches, "_BLOCK", 4)
    log_weights = torch.tensor([[0.0, 1, 0, 1, 0, 0, 0, 1, 0, 0]], device=device)
    for k, want in ((2, [1, 3]), (3, [1, 3, 7]), (6, [0, 1, 2, 3, 4, 7]), (10, list(range(10)))):
        assert launches.race_top_k(log_weights, torch.ones_like(log_weights), k).tolist() == [want]
