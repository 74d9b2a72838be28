"""Products and distances over edges, by their definition: one edge at a time."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphkd.kernels import edge_dot, edge_l1_distance, edge_layout, edge_spmm, edge_squared_distance
from graphkd.kernels.edges import distances, products
from tests.kernels.graphs import QUICK, Graph, assert_close, graphs

widths = st.integers(1, 7)


def by_edge(graph, x, y, term):
    """The sum of term(x of the target, y of the source) over coordinates, for every edge in target order."""
    ordered = graph.edge_index.t()[graph.layout.order].tolist()
    values = [sum(term(a, b) for a, b in zip(x[target], y[source], strict=True)) for source, target in ordered]
    return torch.tensor(values, dtype=torch.float64)


@QUICK
@given(graph=graphs(), width=widths)
def test_values_of_edges(graph, width):
    x, y = graph.nodes(width), graph.nodes(width, salt=1)
    assert_close(edge_dot(x, y, graph.layout), by_edge(graph, x, y, lambda a, b: a * b))
    assert_close(edge_squared_distance(x, graph.layout), by_edge(graph, x, x, lambda a, b: (a - b) ** 2))
    assert_close(edge_l1_distance(x, graph.layout), by_edge(graph, x, x, lambda a, b: abs(a - b)))


@QUICK
@given(graph=graphs(), width=widths, transpose=...)
def test_sums_over_edges(graph, width, transpose: bool):
    values, y = graph.values(), graph.nodes(width, salt=1)
    want = torch.zeros_like(y)
    for value, (source, target) in zip(values, graph.edges, strict=True):
        to, start = (source, target) if transpose else (target, source)
        want[to] += value * y[start]
    assert_close(edge_spmm(values[graph.layout.order], y, graph.layout, transpose=transpose), want)


@QUICK
@given(graph=graphs(), width=widths, seed=st.integers(0, 99))
def test_names_of_nodes_and_order_of_edges_do_not_matter(graph, width, seed):
    generator = torch.Generator().manual_seed(seed)
    name = torch.randperm(graph.num_nodes, generator=generator)
    shuffle = torch.randperm(len(graph.edges), generator=generator)
    other = edge_layout(name[graph.edge_index][:, shuffle], graph.num_nodes)
    x, values = graph.nodes(width), graph.values()
    renamed = torch.empty_like(x).index_copy(0, name, x)
    summed = edge_spmm(values[graph.layout.order], x, graph.layout)
    assert_close(edge_spmm(values[shuffle][other.order], renamed, other)[name], summed)
    for function in (edge_squared_distance, edge_l1_distance, lambda x, layout: edge_dot(x, x, layout)):
        want = graph.layout.restore(function(x, graph.layout))
        assert_close(other.restore(function(renamed, other)), want[shuffle])


@pytest.mark.parametrize("copies", [1, 30])
def test_more_edges_than_pairs_of_nodes(copies):
    """A CSR matrix of torch holds no more entries than rows times columns; a multigraph may."""
    graph = Graph(((0, 1), (1, 0), (1, 1), (0, 0)) * copies + ((0, 1),), 2)
    x, y = (graph.nodes(3, salt=salt).requires_grad_() for salt in (0, 1))
    got = edge_dot(x, y, graph.layout)
    want = products.edge_dot_reference(x, y, graph.layout)
    assert_close(got, want)
    for one, other in zip(*(torch.autograd.grad(value.square().sum(), (x, y)) for value in (got, want)), strict=True):
        assert_close(one, other)


@pytest.mark.parametrize("gap", [10.0**-power for power in range(1, 9)])
@pytest.mark.parametrize("shift", [0.0, 100.0])
def test_distance_of_near_duplicates(gap, shift):
    """|x|^2 + |y|^2 - 2 x.y would lose all digits of a small distance between long rows."""
    x = torch.randn(2, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + shift
    x[1] = x[0] + gap * x[1] / x[1].norm()
    layout = edge_layout(torch.tensor([[0, 1, 1], [1, 0, 1]]), 2)
    got = layout.restore(edge_squared_distance(x, layout))
    want = (x[1] - x[0]).square().sum()
    torch.testing.assert_close(got[:2], want.expand(2), rtol=1e-9, atol=0)
    assert got[2] == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_squared_distances_are_never_negative(dtype):
    x = 1e3 + 1e-3 * torch.randn(40, 8, generator=torch.Generator().manual_seed(0), dtype=dtype)
    everything = torch.cartesian_prod(torch.arange(40), torch.arange(40)).t()
    distances = edge_squared_distance(x, edge_layout(everything, 40))
    assert (distances >= 0).all()
    assert (distances > 0).sum() == 40 * 39


def test_chunks_do_not_show(monkeypatch):
    """Edges gathered a few at a time give what all at once give."""
    graph = Graph(tuple((i, j) for i in range(6) for j in range(6)), 6)
    x = 50 + graph.nodes(4)  # near enough to be computed from differences
    x.requires_grad_()

    def results():
        value = edge_l1_distance(x, graph.layout).square().sum() + edge_squared_distance(x, graph.layout).square().sum()
        return value.detach(), torch.autograd.grad(value, x)[0]

    whole = results()
    monkeypatch.setattr(distances, "CHUNK_ELEMENTS", 13)
    for got, want in zip(results(), whole, strict=True):
        assert_close(got, want)


def test_l1_distance_has_gradient_0_at_equal_coordinates():
    x = torch.tensor([[1.0, 2.0], [1.0, 5.0]], requires_grad=True)
    edge_l1_distance(x, edge_layout(torch.tensor([[0], [1]]), 2)).sum().backward()
    assert x.grad.tolist() == [[0, -1], [0, 1]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_gradient_of_a_distance_is_summed_in_float32(dtype):
    """A node that 3,000 edges enter gets the whole of their gradients."""
    x = torch.randn(3001, 8, generator=torch.Generator().manual_seed(0)).to(dtype).requires_grad_()
    layout = edge_layout(torch.stack([torch.arange(1, 3001), torch.zeros(3000, dtype=torch.int64)]), 3001)
    (got,) = torch.autograd.grad(edge_squared_distance(x, layout).mean(), x)
    wide = x.detach().double().requires_grad_()
    (want,) = torch.autograd.grad(edge_squared_distance(wide, layout).mean(), wide)
    assert_close(got, want)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_sums_are_made_in_float32(dtype):
    """3,000 ones: a sum in bfloat16 stops at 256, one in float16 at 2,048."""
    layout = edge_layout(torch.stack([torch.arange(3000), torch.zeros(3000, dtype=torch.int64)]), 3000)
    summed = edge_spmm(torch.ones(3000, dtype=dtype), torch.ones(3000, 1, dtype=dtype), layout)
    assert_close(summed[0], torch.tensor([3000.0]))
    wide = torch.full((2, 3000), 1.0, dtype=dtype)
    assert_close(edge_dot(wide, wide, edge_layout(torch.tensor([[0], [1]]), 2)), torch.tensor([3000.0]))
