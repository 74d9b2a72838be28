"""Optimal transport against the cheapest vertex of all."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from graphkd.kernels import transport
from tests.kernels.graphs import assert_close, normal


def matrix(rows, width, seed=0):
    return normal(rows, width, dtype=torch.float64, seed=seed)


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
    with pytest.raises(ValueError, match=r"'cost' must have at most 65536 cells, got 257\^2"):
        transport(torch.ones(2, 1, 257), torch.ones(257, 257))
    with pytest.raises(ValueError, match="'marginals' must be finite and at least 0, got 1 of 4 that are not"):
        transport(torch.tensor([[[2.0, -1.0]], [[0.5, 0.5]]]), torch.ones(2, 2))
    with pytest.raises(ValueError, match="'cost' must be finite, 1 of 4 entries are not"):
        transport(torch.ones(2, 1, 2), torch.tensor([[0, 1], [torch.nan, 0]]))
    with pytest.raises(
        ValueError, match=r"'marginals' must have shape \(K, N, C\) with a class at least, got \(2, 3\)"
    ):
        transport(torch.ones(2, 3), torch.ones(3, 3))


@pytest.mark.parametrize("zero", [0, 1])
def test_a_distribution_of_zeros_moves_nothing(zero):
    """It costs 0, with gradient 0; the rows beside it are as they were."""
    parts = torch.stack([matrix(3, 3, 0).softmax(dim=1), matrix(3, 3, 1).softmax(dim=1)])
    cost = 1 - torch.eye(3, dtype=torch.float64)
    want = transport(parts, cost)[1:]
    parts[zero, 0] = 0
    found = transport(parts.requires_grad_(), cost)
    assert found[0] == 0
    assert_close(found[1:], want)
    (gradient,) = torch.autograd.grad(found.sum(), parts)
    assert not gradient[:, 0].any()
    assert gradient.abs().max() <= 2 / parts.detach()[:, 1:].sum(dim=2).min()


def test_no_rows_cost_nothing():
    parts = torch.zeros(2, 0, 3, requires_grad=True)
    value = transport(parts, torch.ones(3, 3)).sum()
    value.backward()
    assert value == 0
    assert parts.grad.shape == (2, 0, 3)
