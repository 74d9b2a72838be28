"""Shares of rows: what clients hold."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphkd.schemes.federated import class_parts, dirichlet_parts
from tests.kernels.graphs import QUICK


@QUICK
@given(st.integers(1, 6), st.sampled_from([0.05, 1.0, 100.0]), st.integers(0, 5))
def test_dirichlet_parts_share_out_all_rows(clients, alpha, seed):
    y = torch.arange(40) % 4
    parts = dirichlet_parts(y, clients, alpha, seed=seed)
    assert len(parts) == clients
    assert torch.cat(parts).sort().values.tolist() == list(range(40))
    assert all(torch.equal(a, b) for a, b in zip(parts, dirichlet_parts(y, clients, alpha, seed=seed), strict=True))


def test_dirichlet_skew_grows_as_alpha_falls():
    y = torch.arange(700) % 7

    def largest_share(alpha):
        counts = torch.stack([torch.bincount(y[p], minlength=7) for p in dirichlet_parts(y, 5, alpha)]).double()
        return float((counts.amax(dim=0) / 100).mean())

    assert largest_share(0.1) > 0.5 > 0.35 > largest_share(100.0)


def test_class_parts():
    y = torch.arange(70) % 7
    parts = class_parts(y, 5, 2)
    assert [y[part].unique().numel() for part in parts] == [2] * 5
    assert torch.cat(parts).unique().numel() == sum(part.numel() for part in parts) == 70
    assert torch.cat(class_parts(y, 2, 2)).numel() == 40  # three classes belong to nobody
    with pytest.raises(ValueError, match="'classes' must be from 1 to 7, got 8"):
        class_parts(y, 5, 8)
    with pytest.raises(ValueError, match="'alpha' must be positive, got 0"):
        dirichlet_parts(y, 5, 0)
