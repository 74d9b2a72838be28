"""Neighbourhoods by CSR: those of the definition, of PyG's ``k_hop_subgraph``, and as fan-outs draw them."""

from __future__ import annotations

import pickle
import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric import EdgeIndex
from torch_geometric.utils import k_hop_subgraph, to_torch_csr_tensor

from graphkd.serving import Neighbourhoods


def by_definition(edge_index, nodes, hops):
    """Nodes within some steps against the edges, and the edges that enter those at fewer steps, by loops."""
    steps = dict.fromkeys(nodes, 0)
    for hop in range(1, hops + 1):
        for source, target in edge_index.T.tolist():
            if steps.get(target) == hop - 1 and source not in steps:
                steps[source] = hop
    edges = [at for at, (_, target) in enumerate(edge_index.T.tolist()) if steps.get(target, hops) < hops]
    return set(steps), edges


@st.composite
def graphs(draw):
    """Directed graphs with loops, repeats and isolated nodes; and some nodes, repeats included."""
    count = draw(st.integers(1, 8))
    ids = st.integers(0, count - 1)
    pairs = draw(st.lists(st.tuples(ids, ids), max_size=20))
    edge_index = torch.tensor(pairs, dtype=torch.long).reshape(-1, 2).T
    return edge_index, count, draw(st.lists(ids, max_size=5)), draw(st.integers(0, 4))


def check(around, edge_index, nodes):
    """What holds of any fetch: numbers are of the graph's, and no node stands twice."""
    assert len(around.nodes.unique()) == len(around.nodes)
    assert around.nodes[around.place].tolist() == list(nodes)
    assert torch.equal(around.nodes[around.edge_index], edge_index[:, around.edges])
    assert around.edges.unique().numel() == around.edges.numel()
    assert {around.nodes.dtype, around.edge_index.dtype, around.edges.dtype, around.place.dtype} == {torch.long}


class TestFull:
    @settings(max_examples=150, deadline=None, derandomize=True)
    @given(graphs())
    def test_definition(self, drawn):
        edge_index, count, nodes, hops = drawn
        graph = Neighbourhoods(edge_index, count)
        for _ in range(2):  # nothing is left of the first in the second
            around = graph.fetch(nodes, hops)
            check(around, edge_index, nodes)
            wanted, edges = by_definition(edge_index, nodes, hops)
            assert set(around.nodes.tolist()) == wanted
            assert sorted(around.edges.tolist()) == edges
            assert (around.hops, around.complete) == (hops, True)
            degrees = torch.bincount(edge_index[1], minlength=count)
            assert torch.equal(around.degrees(), degrees[around.nodes])
            loops = torch.bincount(edge_index[1][edge_index[0] == edge_index[1]], minlength=count)
            assert torch.equal(around.loops(), loops[around.nodes])

    def test_nodes_of_pyg_and_its_edges_but_those_that_enter_the_outermost(self):
        torch.manual_seed(0)
        edge_index, nodes = torch.randint(50, (2, 120)), torch.tensor([3, 7])
        wanted, _, _, mask = k_hop_subgraph(nodes, 2, edge_index, num_nodes=50)
        around = Neighbourhoods(edge_index, 50).fetch(nodes)
        assert torch.equal(around.nodes.sort().values, wanted)
        ours = torch.zeros(120, dtype=torch.bool).index_fill(0, around.edges, True)
        assert not bool((ours & ~mask).any())
        inner = Neighbourhoods(edge_index, 50).fetch(nodes, hops=1).nodes
        assert torch.equal(ours, torch.isin(edge_index[1], inner))

    def test_an_isolated_node_comes_alone(self):
        around = Neighbourhoods(torch.tensor([[0], [1]]), 4).fetch([3, 3])
        assert around.nodes.tolist() == [3]
        assert around.place.tolist() == [0, 0]
        assert around.edge_index.shape == (2, 0)
        assert around.hops == 2

    def test_no_nodes(self):
        around = Neighbourhoods(torch.tensor([[0], [1]]), 4).fetch([])
        assert (len(around.nodes), len(around.place), around.edge_index.shape) == (0, 0, (2, 0))

    @pytest.mark.parametrize("form", [list, np.array, torch.tensor, lambda ids: np.array(ids, np.uint8)])
    def test_forms_of_ids(self, form):
        assert Neighbourhoods(torch.tensor([[0], [1]]), 4).fetch(form([1, 2])).nodes.tolist() == [1, 2, 0]

    def test_forms_of_edges(self):
        edge_index = torch.tensor([[0, 2, 1], [1, 1, 2]])
        adj_t = to_torch_csr_tensor(edge_index.flip(0), size=(4, 4))
        sorted_index = EdgeIndex(edge_index, sparse_size=(4, 4))
        for edges in (edge_index, edge_index.int(), edge_index.numpy(), adj_t, sorted_index):
            assert Neighbourhoods(edges, 4).fetch([1], 1).nodes.tolist() == [1, 0, 2]

    def test_threads_do_not_see_each_other(self):
        torch.manual_seed(0)
        edge_index = torch.randint(400, (2, 2000))
        graph, found = Neighbourhoods(edge_index, 400), {}

        def ask(first):
            found[first] = [graph.fetch([node]).edges.tolist() for node in range(first, 400, 4)]

        threads = [threading.Thread(target=ask, args=(first,)) for first in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        alone = Neighbourhoods(edge_index, 400)
        for first in range(4):
            assert found[first] == [alone.fetch([node]).edges.tolist() for node in range(first, 400, 4)]

    def test_goes_to_another_process(self):
        graph = Neighbourhoods(torch.tensor([[0], [1]]), 4)
        graph.fetch([1])
        assert pickle.loads(pickle.dumps(graph)).fetch([1]).nodes.tolist() == [1, 0]
        assert repr(graph).startswith("Neighbourhoods(4 nodes, 1 edges")


class TestFanOuts:
    @settings(max_examples=100, deadline=None, derandomize=True)
    @given(graphs(), st.lists(st.integers(-1, 3), max_size=3))
    def test_each_node_once_and_no_more_edges_than_asked(self, drawn, fan_outs):
        edge_index, count, nodes, _ = drawn
        around = Neighbourhoods(edge_index, count).fetch(nodes, fan_outs=fan_outs)
        check(around, edge_index, nodes)
        degrees = torch.bincount(edge_index[1], minlength=count)
        entering = torch.bincount(edge_index[1, around.edges], minlength=count)
        frontier, seen = set(nodes), set(nodes)
        for fan_out in fan_outs:
            for node in frontier:
                most = int(degrees[node])
                assert int(entering[node]) == (most if fan_out < 0 else min(fan_out, most))
            found = {
                int(source)
                for source, target in edge_index[:, around.edges].T.tolist()
                if target in frontier and source not in seen
            }
            frontier, seen = found, seen | found
        assert seen == set(around.nodes.tolist())
        assert around.complete == all(fan_out < 0 for fan_out in fan_outs)

    def test_all_is_the_full_neighbourhood(self):
        torch.manual_seed(0)
        edge_index = torch.randint(30, (2, 90))
        graph = Neighbourhoods(edge_index, 30)
        one, other = graph.fetch([4, 9], fan_outs=[-1, -1]), graph.fetch([4, 9], 2)
        assert torch.equal(one.edges, other.edges)
        assert one.complete

    @pytest.mark.parametrize("degree", [6, 40])  # shuffled, and drawn
    def test_the_law_is_uniform_without_replacement(self, degree):
        torch.manual_seed(0)
        edge_index = torch.stack([torch.arange(1, degree + 1), torch.zeros(degree, dtype=torch.long)])
        graph, count, drawn = Neighbourhoods(edge_index, degree + 1), torch.zeros(degree), 1000
        for _ in range(drawn):
            count[graph.fetch([0], fan_outs=[4]).edges] += 1
        share = 4 / degree
        assert float((count / drawn - share).abs().max()) < 5 * (share * (1 - share) / drawn) ** 0.5

    def test_a_seed_gives_the_same_draws(self):
        edge_index = torch.randint(30, (2, 900), generator=torch.Generator().manual_seed(0))
        graph, found = Neighbourhoods(edge_index, 30), []
        for _ in range(2):
            torch.manual_seed(1)
            found.append(graph.fetch([4], fan_outs=[5, 5]).edges)
        assert torch.equal(*found)


EDGES = torch.tensor([[0, 1], [1, 2]])


@pytest.mark.parametrize(
    ("edges", "count", "error", "match"),
    [
        ([[0], [1]], 3, TypeError, r"'edge_index' must be a tensor \(2, E\), sources first, or an adj_t, got list"),
        (EDGES.T[:1], 3, ValueError, r"'edge_index' must be \(2, E\), sources first, got \(1, 2\)"),
        (EDGES.float(), 3, TypeError, "'edge_index' must be int64 or int32, got torch.float32"),
        (EDGES, 2, ValueError, "'edge_index' must be from 0 to 1, the nodes of the graph, got 0 to 2"),
        (EDGES - 1, 2, ValueError, "got -1 to 1"),
        (EDGES, 0, ValueError, "'num_nodes' must be a whole number of at least 1, got 0"),
        (EDGES, True, ValueError, "'num_nodes' must be a whole number of at least 1, got True"),
        (EDGES, None, ValueError, "'num_nodes' must be a whole number of at least 1, got None"),
    ],
)
def test_what_is_no_graph(edges, count, error, match):
    with pytest.raises(error, match=match):
        Neighbourhoods(edges, count)


@pytest.mark.parametrize(
    ("nodes", "asked", "error", "match"),
    [
        ([3], {}, ValueError, "'nodes' must be from 0 to 2, got 3 to 3"),
        ([-1], {}, ValueError, "'nodes' must be from 0 to 2, got -1 to -1"),
        ([[1]], {}, ValueError, r"'nodes' must be \(B,\), got \(1, 1\)"),
        (1, {}, ValueError, r"'nodes' must be \(B,\), got \(\)"),
        ([0.5], {}, TypeError, "'nodes' must be ids, whole numbers, got float64"),
        (torch.tensor([True, False, True]), {}, TypeError, r"of a mask give its nonzero\(\).flatten\(\)"),
        ([1], {"hops": -1}, ValueError, "'hops' must be a whole number of at least 0, got -1"),
        ([1], {"hops": 1.5}, ValueError, "'hops' must be a whole number of at least 0, got 1.5"),
        (
            [1],
            {"fan_outs": [-2]},
            ValueError,
            r"'fan_outs' must hold a whole number a hop, -1 for all edges, got \[-2\]",
        ),
        ([1], {"fan_outs": [5], "hops": 2}, ValueError, "'fan_outs' must hold one number for each of 2 hops, got 1"),
    ],
)
def test_what_cannot_be_fetched(nodes, asked, error, match):
    graph = Neighbourhoods(EDGES, 3)
    with pytest.raises(error, match=match):
        graph.fetch(nodes, **asked)
    assert graph.fetch([2]).nodes.tolist() == [2, 1, 0]  # and nothing is left of it
