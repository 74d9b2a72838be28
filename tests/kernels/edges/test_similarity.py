"""Similarity of the two ends of an edge, by its definition: one edge at a time."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphkd.kernels import edge_similarity
from tests.kernels.graphs import EXAMPLE, QUICK, assert_close, graphs

SIGMA, DEGREE, OFFSET = 1.5, 3, 0.25
KERNELS = {
    "cosine": lambda x, y: float(x @ y) / (math.hypot(*x) * math.hypot(*y)),
    "dot": lambda x, y: float(x @ y),
    "poly": lambda x, y: (float(x @ y) + OFFSET) ** DEGREE,
    "squared_euclidean": lambda x, y: math.dist(x, y) ** 2,
    "euclidean": lambda x, y: math.dist(x, y),
    "rbf": lambda x, y: math.exp(-(math.dist(x, y) ** 2) / (2 * SIGMA)),
    "l1": lambda x, y: float((x - y).abs().sum()),
    "laplacian": lambda x, y: math.exp(-float((x - y).abs().sum()) / SIGMA),
}
KNOBS = {"sigma": SIGMA, "degree": DEGREE, "offset": OFFSET}
each_kernel = pytest.mark.parametrize("kernel", KERNELS)


@each_kernel
@QUICK
@given(graph=graphs(), width=st.integers(1, 6), normalise=...)
def test_definition(kernel, graph, width, normalise: bool):
    x = graph.nodes(width)
    rows = [row / math.hypot(*row) for row in x] if normalise else list(x)
    want = [KERNELS[kernel](rows[source], rows[target]) for source, target in graph.edges]
    got = edge_similarity(x, graph.edge_index, kernel, normalise=normalise, **KNOBS)
    torch.testing.assert_close(got, torch.tensor(want, dtype=torch.float64), rtol=1e-9, atol=1e-7)  # root of 1e-16


@each_kernel
def test_names_of_nodes_and_order_of_edges_do_not_matter(kernel):
    generator = torch.Generator().manual_seed(0)
    name, shuffle = torch.randperm(6, generator=generator), torch.randperm(10, generator=generator)
    x = EXAMPLE.nodes(3)
    renamed = torch.empty_like(x).index_copy(0, name, x)
    got = edge_similarity(renamed, name[EXAMPLE.edge_index][:, shuffle], kernel, **KNOBS)
    assert_close(got, edge_similarity(x, EXAMPLE.edge_index, kernel, **KNOBS)[shuffle])


@each_kernel
def test_of_a_node_with_itself(kernel):
    """Exactly what the formula says at equal ends, with a finite gradient: 0 for the distance, whose slope has none."""
    x = EXAMPLE.nodes(3).requires_grad_()
    value = edge_similarity(x, torch.tensor([[2], [2]]), kernel, normalise=True)
    exact = {"cosine": 1, "dot": 1, "poly": 1, "rbf": 1, "laplacian": 1}.get(kernel, 0)
    torch.testing.assert_close(value.detach(), torch.tensor([float(exact)], dtype=torch.float64))
    (gradient,) = torch.autograd.grad(value, x)
    assert_close(gradient, torch.zeros(6, 3))


@each_kernel
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_zero_rows_are_similar_to_nothing(kernel, dtype):
    x = EXAMPLE.nodes(3, dtype)
    x[1] = 0
    value = edge_similarity(x, EXAMPLE.edge_index, kernel, normalise=True)
    assert value.isfinite().all()
    if kernel in ("cosine", "dot", "poly"):
        assert value[0] == value[1] == 0


@each_kernel
def test_huge_and_tiny_rows(kernel):
    """Normalised, the length of a row is of no account."""
    x = EXAMPLE.nodes(3)
    scaled = x * torch.tensor([1e-3, 1e3, 1.0, 1e-6, 1e6, 1.0], dtype=torch.float64)[:, None]
    got, want = (edge_similarity(rows, EXAMPLE.edge_index, kernel, normalise=True) for rows in (scaled, x))
    torch.testing.assert_close(got, want, rtol=1e-7, atol=1e-7)


def test_unknown_kernel():
    with pytest.raises(ValueError, match=r"'kernel' must be one of \('cosine', .*'laplacian'\), got 'gauss'"):
        edge_similarity(EXAMPLE.nodes(2), EXAMPLE.edge_index, "gauss")


def test_wrong_edges():
    with pytest.raises(ValueError, match=r"node ids in \[0, 3\), got ids from 0 to 4"):
        edge_similarity(torch.zeros(3, 2), EXAMPLE.edge_index)
