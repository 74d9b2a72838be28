"""Distances of Gram matrices over the pairs of a group, pair by pair."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from graphkd.kernels import grouped_gram_distance
from tests.kernels.graphs import QUICK, assert_close, normal


def matrix(rows, width, seed=0):
    return normal(rows, width, dtype=torch.float64, seed=seed)


@QUICK
@given(labels=st.lists(st.integers(-2, 3), max_size=8), seed=st.integers(0, 99))
def test_grouped_gram_distance(labels, seed):
    a, b = matrix(len(labels), 3, seed), matrix(len(labels), 2, seed + 1)
    pairs = [(i, j) for i, one in enumerate(labels) for j, other in enumerate(labels) if one == other]
    want = sum(float(a[i] @ a[j] - b[i] @ b[j]) ** 2 for i, j in pairs)
    got = grouped_gram_distance(a, b, torch.tensor(labels, dtype=torch.int64))
    assert_close(got, torch.tensor(want, dtype=torch.float64))
