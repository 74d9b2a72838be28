"""The layout is the same edges twice, whatever they came as."""

from __future__ import annotations

import weakref

import pytest
import torch
from hypothesis import example, given
from torch_geometric import EdgeIndex

from graphkd.kernels import EdgeLayout, edge_layout, edge_similarity
from graphkd.kernels.edges import layout as module
from tests.kernels.graphs import EXAMPLE, NO_EDGES, ONE_NODE, QUICK, Graph, graphs


def check(layout: EdgeLayout, graph: Graph) -> None:
    """Both halves of a layout hold every edge of the graph, at the right place."""
    edges = graph.edge_index.t().tolist()
    assert (layout.num_nodes, layout.num_edges) == (graph.num_nodes, len(edges))
    into = {node: [] for node in range(graph.num_nodes)}
    for position, (source, target) in enumerate(zip(layout.source.tolist(), layout.target.tolist(), strict=True)):
        assert [source, target] == edges[layout.order[position]]
        into[target].append(source)
    for node in range(graph.num_nodes):
        entering = layout.source[layout.ptr[node] : layout.ptr[node + 1]].tolist()
        assert entering == into[node]
        leaving = slice(layout.out_ptr[node], layout.out_ptr[node + 1])
        assert layout.source[layout.out_order[leaving]].tolist() == [node] * (leaving.stop - leaving.start)
    assert torch.equal(layout.target[layout.out_order], layout.out_target)
    assert sorted(layout.order.tolist()) == sorted(layout.out_order.tolist()) == list(range(len(edges)))
    kinds = {name: getattr(layout, name).dtype for name in layout.__dataclass_fields__}
    assert {name for name, kind in kinds.items() if kind == torch.int64} == {"order", "out_order"}


@QUICK
@example(graph=NO_EDGES)
@example(graph=ONE_NODE)
@example(graph=Graph((), 0))
@given(graph=graphs())
def test_layout_is_the_graph_sorted_twice(graph):
    check(graph.layout, graph)


@QUICK
@given(graph=graphs())
def test_restore_puts_values_back(graph):
    values = graph.values()
    assert torch.equal(graph.layout.restore(values[graph.layout.order]), values)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32])
@pytest.mark.parametrize("undirected", [False, True])
@pytest.mark.parametrize("sort_order", [None, "row", "col"])
def test_edge_index_of_pyg(sort_order, undirected, dtype, monkeypatch):
    """Sorted ones give their caches, so that nothing is sorted; the numbers are those of the plain tensor."""
    edges = EXAMPLE.edges + tuple((target, source) for source, target in EXAMPLE.edges) * undirected
    if sort_order is not None:
        edges = tuple(sorted(edges, key=lambda edge: edge[sort_order == "col"]))
    graph = Graph(edges, EXAMPLE.num_nodes)
    plain = graph.edge_index.contiguous().to(dtype)
    wrapped = EdgeIndex(plain, sparse_size=(6, 6), sort_order=sort_order, is_undirected=undirected)
    x = graph.nodes(4)
    want = edge_similarity(x, plain, "dot")
    if sort_order is not None:
        wrapped.fill_cache_()
        monkeypatch.setattr(module, "_sort_edges", lambda *_: pytest.fail("a sorted EdgeIndex was sorted again"))
    layout = edge_layout(wrapped, 6)
    check(layout, graph)
    assert not any(isinstance(getattr(layout, name), EdgeIndex) for name in layout.__dataclass_fields__)
    torch.testing.assert_close(edge_similarity(x, wrapped, "dot"), want)


@pytest.mark.parametrize("size", [(None, None), (5, 5)])
def test_edge_index_of_another_size_is_sorted_anew(size):
    """Its pointers would be about fewer nodes than there are."""
    edges = torch.tensor([[0, 1, 3], [1, 0, 4]])
    layout = edge_layout(EdgeIndex(edges, sparse_size=size, sort_order="row"), 7)
    check(layout, Graph(((0, 1), (1, 0), (3, 4)), 7))


def test_layout_of_a_layout_is_itself():
    assert edge_layout(EXAMPLE.layout, 6) is EXAMPLE.layout
    with pytest.raises(ValueError, match="'edge_index' was laid out for 6 nodes, got 7"):
        edge_layout(EXAMPLE.layout, 7)


def test_layout_moves_as_a_whole():
    moved = EXAMPLE.layout.to("meta")
    assert {getattr(moved, name).device.type for name in moved.__dataclass_fields__} == {"meta"}


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32])
def test_narrow_integers(dtype):
    check(edge_layout(EXAMPLE.edge_index.to(dtype), 6), EXAMPLE)


@pytest.mark.parametrize(
    ("edge_index", "error", "message"),
    [
        (torch.zeros(2, 3), TypeError, r"'edge_index' must hold integers, got torch.float32"),
        (torch.zeros(2, 3, dtype=torch.bool), TypeError, r"must hold integers, got torch.bool"),
        (torch.zeros(2, 3, dtype=torch.complex64), TypeError, r"must hold integers, got torch.complex64"),
        (torch.zeros(3, 2, dtype=torch.int64), ValueError, r"must have shape \(2, E\), got \(3, 2\)"),
        (torch.zeros(2, dtype=torch.int64), ValueError, r"must have shape \(2, E\), got \(2,\)"),
        (torch.zeros(1, 2, 3, dtype=torch.int64), ValueError, r"must have shape \(2, E\), got \(1, 2, 3\)"),
        (torch.tensor([[0], [4]]), ValueError, r"node ids in \[0, 4\), got ids from 0 to 4"),
        (torch.tensor([[0, -1], [2, 1]]), ValueError, r"node ids in \[0, 4\), got ids from -1 to 2"),
        (torch.tensor([[0], [2**32]]), ValueError, r"node ids in \[0, 4\), got ids from 0 to 4294967296"),
    ],
)
def test_refusals(edge_index, error, message):
    with pytest.raises(error, match=message):
        edge_layout(edge_index, 4)


def test_too_many_nodes_for_32_bits():
    with pytest.raises(ValueError, match=r"fewer than 2\^31 nodes and edges, got 2147483648 and 1"):
        edge_layout(torch.zeros(2, 1, dtype=torch.int64), 2**31)


def test_the_layout_of_a_tensor_is_kept_until_it_is_written_to_or_dies():
    edge_index = torch.tensor([[0, 1, 2], [1, 1, 0]])
    first = edge_layout(edge_index, 3)
    assert edge_layout(edge_index, 3) is first
    assert edge_layout(edge_index, 4).num_nodes == 4
    edge_index[0, 0] = 2
    assert edge_layout(edge_index, 3).source.tolist() != first.source.tolist()
    kept = weakref.ref(edge_layout(edge_index, 3).ptr)
    del edge_index
    assert kept() is None
