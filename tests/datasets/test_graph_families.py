"""Families of graphs: simple graphs with degrees as features, classes as named, clear refusals."""

import networkx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.utils import to_networkx

from datasets.graph_families import FAMILIES, graph_family


@settings(deadline=None, max_examples=30)
@given(
    name=st.sampled_from(sorted(FAMILIES)),
    per_class=st.integers(1, 4),
    nodes=st.integers(6, 30).flatmap(lambda low: st.tuples(st.just(low), st.integers(low + 1, low + 12))),
    max_degree=st.integers(1, 12),
    noise=st.floats(0, 1),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_arguments_give_simple_graphs_with_degrees_as_features(name, per_class, nodes, max_degree, noise, seed):
    split = graph_family(
        name,
        per_class=per_class,
        min_nodes=nodes[0],
        max_nodes=nodes[1],
        max_degree=max_degree,
        noise=noise,
        seed=seed,
    )
    graphs = [graph for part in split for graph in part]
    labels = torch.cat([graph.y for graph in graphs])
    assert labels.bincount().tolist() == [per_class] * len(FAMILIES[name])
    for graph in graphs:
        count = graph.num_nodes
        assert nodes[0] <= count <= nodes[1]
        assert count % 2 == 0
        edges = set(zip(*graph.edge_index.tolist(), strict=True))
        assert len(edges) == graph.num_edges
        assert all(source != target and (target, source) in edges for source, target in edges)
        assert graph.x.shape == (count, max_degree + 1)
        degrees = [min(sum(source == node for source, _ in edges), max_degree) for node in range(count)]
        assert graph.x.argmax(1).tolist() == degrees
        assert torch.equal(graph.x.sum(1), torch.ones(count))


def test_without_noise_the_classes_are_what_they_are_called():
    split = graph_family("shapes", per_class=5, noise=0.0)
    for graph in split.train:
        found = to_networkx(graph, to_undirected=True)
        count = graph.num_nodes
        assert networkx.is_connected(found)
        if int(graph.y) == 0:
            assert networkx.is_tree(found)
        else:
            assert {degree for _, degree in found.degree} == {2 if int(graph.y) == 1 else 3}
            assert found.number_of_edges() == count * (2 if int(graph.y) == 1 else 3) // 2
    for graph in graph_family("random", per_class=5, noise=0.0).train:
        lost = {0: 0, 1: 4, 2: 0}[int(graph.y)]  # Barabási and Albert start with a star of three nodes
        assert graph.num_edges == 2 * (2 * graph.num_nodes - lost)


def test_noise_moves_that_share_of_edges():
    """Of 100 cycles with every tenth edge moved, four in five nodes keep both of theirs, or have got others."""
    split = graph_family("shapes", per_class=100, noise=0.1)
    kept = torch.cat([graph.x[:, 2] for part in split for graph in part if int(graph.y) == 1]).mean()
    assert 0.75 < float(kept) < 0.9


def test_parts_have_their_shares_of_every_class():
    split = graph_family("random", per_class=10)
    assert [torch.cat([graph.y for graph in part]).bincount().tolist() for part in split] == [[6] * 3, [2] * 3, [2] * 3]


def test_a_seed_decides_everything():
    first, again, other = (graph_family("random", per_class=3, seed=seed).train for seed in (1, 1, 2))
    assert all(torch.equal(a.edge_index, b.edge_index) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a.edge_index, b.edge_index) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "trees"}, r"name must be one of \['shapes', 'random'\], got 'trees'"),
        ({"per_class": 0}, "per_class must be at least 1, got 0"),
        ({"min_nodes": 5}, "min_nodes must be at least 6, got 5"),
        ({"min_nodes": 10, "max_nodes": 10}, "max_nodes must be above min_nodes = 10, got 10"),
        ({"max_degree": 0}, "max_degree must be at least 1, got 0"),
        ({"noise": 1.5}, "noise must be between 0 and 1, got 1.5"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        graph_family(**{"name": "shapes", **arguments})
