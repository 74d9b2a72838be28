"""Undirected graphs: which they are, and that pairs of edges give what single ones do."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given
from torch.autograd import gradcheck, gradgradcheck

from graphkd.kernels import edge_dot, edge_layout, edge_similarity, edge_squared_distance
from graphkd.kernels.edges import similarity
from graphkd.kernels.edges.undirected import paired_dot, paired_squared_distance
from tests.kernels.graphs import EXAMPLE, NO_EDGES, ONE_NODE, QUICK, Graph, assert_close, graphs

PAIRED = {
    "dot": (paired_dot, lambda x, layout: edge_dot(x, x, layout)),
    "squared": (paired_squared_distance, edge_squared_distance),
}
each_form = pytest.mark.parametrize(("paired", "single"), PAIRED.values(), ids=PAIRED)


def mirrored(graph: Graph) -> Graph:
    """With the other direction of every edge; loops twice."""
    return Graph(graph.edges + tuple((target, source) for source, target in graph.edges), graph.num_nodes, graph.seed)


@QUICK
@example(graph=NO_EDGES)
@example(graph=ONE_NODE)
@given(graph=graphs())
def test_pairs_of_edges(graph):
    """Duplicates and loops among them; one of each pair in the half."""
    layout = mirrored(graph).layout
    pairs = layout.undirected
    assert sorted(pairs.reverse.tolist()) == list(range(layout.num_edges))
    assert torch.equal(layout.source[pairs.reverse], layout.target)
    assert torch.equal(layout.target[pairs.reverse], layout.source)
    half = pairs.half
    assert torch.equal(torch.repeat_interleave(half.ptr.diff()), half.target.long())
    assert torch.equal(half.source[pairs.place], torch.minimum(layout.source, layout.target))
    assert torch.equal(half.target[pairs.place], torch.maximum(layout.source, layout.target))


@QUICK
@given(graph=graphs())
def test_graphs_with_edges_in_one_direction_are_not_undirected(graph):
    edges = sorted(graph.edges)
    assert (graph.layout.undirected is not None) == (edges == sorted((target, source) for source, target in edges))


def test_as_many_edges_in_as_out_are_not_enough():
    assert edge_layout(torch.tensor([[0, 1, 2], [1, 2, 0]]), 3).undirected is None


@each_form
@QUICK
@given(graph=graphs())
def test_values_and_gradients(paired, single, graph):
    graph = mirrored(graph)
    layout, results = graph.layout, []
    for function in (lambda x: paired(x, layout, layout.undirected), lambda x: single(x, layout)):
        x = graph.nodes(3).requires_grad_()
        values = function(x)
        results.append((values.detach(), torch.autograd.grad(values, x, graph.values(salt=1))[0]))
    for got, want in zip(*results, strict=True):
        assert_close(got, want)


@each_form
def test_first_and_second_derivative(paired, single):
    layout = mirrored(EXAMPLE).layout
    x = EXAMPLE.nodes(2).requires_grad_()
    assert gradcheck(lambda x: paired(x, layout, layout.undirected), x)
    assert gradgradcheck(lambda x: paired(x, layout, layout.undirected), x)


@each_form
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_narrow_precision(paired, single, dtype):
    graph = mirrored(EXAMPLE)
    x = graph.nodes(5, dtype).requires_grad_()
    values = paired(x, graph.layout, graph.layout.undirected)
    assert values.dtype == torch.float32
    assert_close(values, single(x.double(), graph.layout), dtype)
    assert torch.autograd.grad(values.sum(), x)[0].dtype == dtype


@pytest.mark.parametrize("kernel", ["cosine", "poly", "euclidean", "rbf"])
def test_similarities_of_an_undirected_graph(kernel, monkeypatch):
    graph = mirrored(EXAMPLE)
    x = graph.nodes(3)
    got = edge_similarity(x, graph.edge_index, kernel)
    monkeypatch.setattr(similarity, "undirected", lambda layout: None)
    assert_close(got, edge_similarity(x, graph.edge_index, kernel))
