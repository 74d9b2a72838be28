"""The nearest, the most similar and the farthest rows, against a sort of all pairs."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphkd.kernels import (
    farthest_rows,
    nearest_rows,
    similar_rows,
)
from graphkd.kernels.pairs import neighbours, tiles
from tests.kernels.graphs import QUICK, normal


def matrix(rows, width, seed=0):
    return normal(rows, width, dtype=torch.float64, seed=seed)


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
        patch.setitem(tiles._EDGE, "cpu", tile)
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
        patch.setattr(neighbours, "_ROWS", 1)
        got = nearest_rows(x, count, queries)
    others = [[node for node in range(rows) if node != query] for query in range(rows if queries is None else queries)]
    want = [sorted(nodes, key=lambda node: math.dist(x[query], x[node]))[:count] for query, nodes in enumerate(others)]
    assert got.tolist() == want


def test_a_row_is_not_its_own_neighbour_among_equal_rows():
    nearest = nearest_rows(torch.ones(5, 2), 2)
    assert not (nearest == torch.arange(5)[:, None]).any()


@QUICK
@given(
    rows=st.integers(1, 9), count=st.integers(0, 10), seed=st.integers(0, 99), same=st.sampled_from([None, True, False])
)
def test_similar_rows(rows, count, seed, same):
    """Positive products alone, of the rows that count; the row itself elsewhere."""
    x = matrix(rows, 2, seed)
    labels = [(i * 7 + seed) % 3 for i in range(rows)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "_BLOCK_ELEMENTS", 2 * rows)
        patch.setattr(neighbours, "_ROWS", 1)
        got = similar_rows(x, count, None if same is None else torch.tensor(labels), same=same is not False)
    count = min(count, rows - 1)
    for i in range(rows):
        fit = [j for j in range(rows) if j != i and float(x[i] @ x[j]) > 0]
        fit = [j for j in fit if same is None or (labels[i] == labels[j]) == same]
        fit.sort(key=lambda j: -float(x[i] @ x[j]))
        assert got[i].tolist() == (fit + [i] * count)[:count]
