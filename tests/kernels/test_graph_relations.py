"""Gram matrices of groups, powers of sparse matrices, log-sum-exps over a bank, similar rows and optimal transport."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphkd.kernels import (
    grouped_gram_distance,
    neighbours,
    power_divergence,
    sampled_logsumexp,
    similar_rows,
    transport,
)
from tests.kernels.graphs import QUICK, Graph, assert_close, graphs, normal


def matrix(rows, width, seed=0):
    return normal(rows, width, dtype=torch.float64, seed=seed)


# ---------------------------------------------------------------- groups
@QUICK
@given(labels=st.lists(st.integers(-2, 3), max_size=8), seed=st.integers(0, 99))
def test_grouped_gram_distance(labels, seed):
    a, b = matrix(len(labels), 3, seed), matrix(len(labels), 2, seed + 1)
    pairs = [(i, j) for i, one in enumerate(labels) for j, other in enumerate(labels) if one == other]
    want = sum(float(a[i] @ a[j] - b[i] @ b[j]) ** 2 for i, j in pairs)
    got = grouped_gram_distance(a, b, torch.tensor(labels, dtype=torch.int64))
    assert_close(got, torch.tensor(want, dtype=torch.float64))


# ---------------------------------------------------------------- powers
@QUICK
@given(graph=graphs(), power=st.integers(1, 4))
def test_power_divergence(graph: Graph, power):
    """Entry by entry of the product of matrices, in which the values of one entry add up."""
    s, t = graph.values(salt=1), graph.values(salt=2)
    nodes = range(graph.num_nodes)
    found = []
    for values in (s, t):
        w = [[0.0] * graph.num_nodes for _ in nodes]
        for (i, j), value in zip(graph.edges, values.tolist(), strict=True):
            w[i][j] += value
        found.append(w)
        for _ in range(power - 1):
            found[-1] = [[sum(found[-1][i][k] * w[k][j] for k in nodes) for j in nodes] for i in nodes]
    want = sum((found[0][i][j] - found[1][i][j]) ** 2 for i in nodes for j in nodes)
    got = power_divergence(s, t, graph.edge_index, graph.num_nodes, power)
    assert_close(got, torch.tensor(want, dtype=torch.float64))


def test_power_must_be_positive():
    with pytest.raises(ValueError, match="'power' must be 1 at least, got 0"):
        power_divergence(torch.ones(1), torch.ones(1), torch.zeros(2, 1, dtype=torch.int64), 2, 0)


# ---------------------------------------------------------------- banks
@QUICK
@given(held=st.sampled_from([1, 3, 60]), rows=st.integers(0, 5), samples=st.integers(1, 5), seed=st.integers(0, 99))
def test_sampled_logsumexp(held, rows, samples, seed):
    """From a bank that is small beside the sample, or large; it may change before backward."""
    anchor, memory = matrix(rows, 3, seed).requires_grad_(), matrix(held, 3, seed + 1)
    index = torch.randint(held, (rows, samples), generator=torch.Generator().manual_seed(seed))
    scores = [[2 * float(a @ memory[k]) for k in index[i]] for i, a in enumerate(anchor.detach())]
    totals = [sum(math.exp(score) for score in row) for row in scores]
    value = sampled_logsumexp(anchor, memory, index, 2.0)
    assert_close(value, torch.tensor([math.log(total) for total in totals], dtype=torch.float64))
    slope = torch.zeros(rows, 3, dtype=torch.float64)
    for i, row in enumerate(scores):
        for k, score in zip(index[i], row, strict=True):
            slope[i] += 2 * math.exp(score) / totals[i] * memory[k]
    memory.zero_()
    assert_close(torch.autograd.grad(value.sum(), anchor)[0], slope)


def test_what_sampled_logsumexp_refuses():
    none = torch.zeros(2, 0, dtype=torch.int64)
    with pytest.raises(ValueError, match="'index' must name one row of the memory at least, got 0 columns"):
        sampled_logsumexp(torch.zeros(2, 3), torch.zeros(2, 3), none)
    with pytest.raises(ValueError, match=r"'candidate' must be as wide as 'anchor' \(3\), got 4"):
        sampled_logsumexp(torch.zeros(2, 3), torch.zeros(2, 4), none)


# ---------------------------------------------------------------- similar rows
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
        got = similar_rows(x, count, None if same is None else torch.tensor(labels), same=same is not False)
    count = min(count, rows - 1)
    for i in range(rows):
        fit = [j for j in range(rows) if j != i and float(x[i] @ x[j]) > 0]
        fit = [j for j in fit if same is None or (labels[i] == labels[j]) == same]
        fit.sort(key=lambda j: -float(x[i] @ x[j]))
        assert got[i].tolist() == (fit + [i] * count)[:count]


# ---------------------------------------------------------------- transport
def cheapest_vertex(p, q, cost):
    """The least cost over all basic solutions: couplings with at most 2 C - 1 entries, each found by elimination."""
    classes, best = len(p), math.inf
    cells = list(itertools.product(range(classes), repeat=2))
    sums = torch.zeros(2 * classes, len(cells), dtype=torch.float64)
    for n, (i, j) in enumerate(cells):
        sums[i, n] = sums[classes + j, n] = 1
    wanted = torch.tensor([*p, *q], dtype=torch.float64)[:-1]
    for basis in itertools.combinations(range(len(cells)), 2 * classes - 1):
        matrix = sums[:-1, list(basis)]
        if abs(torch.linalg.det(matrix)) > 0.5:
            values = torch.linalg.solve(matrix, wanted)
            if values.min() > -1e-12:
                best = min(
                    best, sum(float(v) * cost[cells[n][0]][cells[n][1]] for v, n in zip(values, basis, strict=True))
                )
    return best


def test_transport_is_the_cheapest_vertex():
    p, q = matrix(3, 3, 0).softmax(dim=1), matrix(3, 3, 1).softmax(dim=1)
    cost = matrix(3, 3, 2).square()
    want = [cheapest_vertex(*rows, cost.tolist()) for rows in zip(p.tolist(), q.tolist(), strict=True)]
    assert_close(transport(torch.stack([p, q]), cost), torch.tensor(want, dtype=torch.float64))


def test_three_distributions_on_a_line():
    """There the coupling of equal quantiles is the cheapest for all pairs at once."""
    parts = torch.stack([matrix(4, 3, seed).softmax(dim=1) for seed in range(3)])
    places = torch.arange(3, dtype=torch.float64)
    cells = torch.stack(torch.meshgrid(places, places, places, indexing="ij"))
    cost = sum((cells[i] - cells[j]).abs() for i, j in itertools.combinations(range(3), 2))
    pairs = itertools.combinations(parts.cumsum(dim=2), 2)
    assert_close(transport(parts, cost), sum((one - other).abs().sum(dim=1) for one, other in pairs))


def test_what_transport_refuses():
    parts = torch.ones(2, 1, 3)
    with pytest.raises(ValueError, match=r"'cost' must have shape \(3, 3\), got \(3, 2\)"):
        transport(parts, torch.ones(3, 2))
    with pytest.raises(ValueError, match=r"a coupling must have at most 65536 cells, got 257\^2"):
        transport(torch.ones(2, 1, 257), torch.ones(257, 257))
    with pytest.raises(RuntimeError, match="the transport of row 0 was not solved"):
        transport(torch.tensor([[[2.0, -1.0]], [[0.5, 0.5]]]), torch.ones(2, 2))
