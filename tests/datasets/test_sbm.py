"""The stochastic block model: exact law on small graphs, right averages on large ones, clear refusals."""

import math
import tracemalloc
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.sbm import _draw_distinct, sbm

NO_SPLIT = {"train_per_class": 0, "val_per_class": 0}


@settings(deadline=None, max_examples=100)
@given(
    num_nodes=st.integers(1, 80),
    num_features=st.integers(1, 5),
    homophily=st.floats(0, 1),
    density=st.floats(0, 1),
    separation=st.floats(0, 100),
    seed=st.integers(0, 2**32 - 1),
    data=st.data(),
)
def test_any_arguments_give_a_simple_graph(num_nodes, num_features, homophily, density, separation, seed, data):
    num_classes = data.draw(st.integers(1, num_nodes))
    sizes = [num_nodes // num_classes + (label < num_nodes % num_classes) for label in range(num_classes)]
    within = sum(math.comb(size, 2) for size in sizes)
    between = math.comb(num_nodes, 2) - within
    most = min(
        within / homophily if homophily else math.inf,
        between / (1 - homophily) if homophily < 1 else math.inf,
    )
    degree = density * 0.999 * most * 2 / num_nodes
    graph = sbm(num_nodes, num_classes, num_features, degree, homophily, seed, separation=separation, **NO_SPLIT)
    assert graph.x.shape == (num_nodes, num_features)
    assert graph.x.dtype == torch.float32
    assert graph.x.isfinite().all()
    assert graph.y.bincount().tolist() == sizes
    assert graph.test_mask.all()
    edges = set(zip(*graph.edge_index.tolist(), strict=True))
    assert len(edges) == graph.edge_index.shape[1]
    assert all(source != target and (target, source) in edges for source, target in edges)
    assert all(0 <= source < num_nodes for source, _ in edges)
    same = {bool(graph.y[source] == graph.y[target]) for source, target in edges}
    assert not (homophily == 1 and False in same)
    assert not (homophily == 0 and True in same)


def test_every_pair_is_drawn_with_its_probability():
    """2,000 graphs of 5 nodes in classes of 3 and 2: each pair's count is within 5 deviations of its mean."""
    graphs, counts = 2000, Counter()
    for seed in range(graphs):
        graph = sbm(5, 2, 1, average_degree=2.0, homophily=0.5, seed=seed, **NO_SPLIT)
        # The classes are told apart by their sizes, and nodes within one are numbered in order.
        names = [(int(label), int((graph.y[:node] == label).sum())) for node, label in enumerate(graph.y)]
        counts.update(frozenset((names[a], names[b])) for a, b in graph.edge_index.T.tolist() if a < b)
    nodes = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    for a, b in combinations(nodes, 2):
        probability = 2.5 / 4 if a[0] == b[0] else 2.5 / 6  # 5 edges in all; 4 pairs within, 6 between
        deviation = math.sqrt(graphs * probability * (1 - probability))
        assert abs(counts[frozenset((a, b))] - graphs * probability) < 5 * deviation


@pytest.mark.parametrize("count", [2, 3])  # below and above one half: two ways of drawing
def test_sets_of_distinct_numbers_are_equally_likely(count):
    random, draws = np.random.default_rng(0), 10_000
    counts = Counter(frozenset(_draw_distinct(random, 5, count).tolist()) for _ in range(draws))
    assert set(counts) == set(map(frozenset, combinations(range(5), count)))
    chi_square = sum((observed - draws / 10) ** 2 / (draws / 10) for observed in counts.values())
    assert chi_square < 33.7  # 9 degrees of freedom, p = 0.0001


@pytest.mark.parametrize("homophily", [0.0, 0.3, 0.8, 1.0])
def test_degree_and_homophily_are_met(homophily):
    graph = sbm(20_000, 7, 4, average_degree=12.0, homophily=homophily, seed=1)
    edges = 20_000 * 12.0 / 2
    drawn = graph.num_edges / 2
    assert abs(drawn - edges) < 5 * math.sqrt(edges)
    same = float((graph.y[graph.edge_index[0]] == graph.y[graph.edge_index[1]]).double().mean())
    assert abs(same - homophily) < 5 * math.sqrt(homophily * (1 - homophily) / drawn) + 1e-12


def test_classes_are_even_and_in_random_order():
    labels = sbm(1003, 4, 1, seed=0).y
    assert labels.bincount().tolist() == [251, 251, 251, 250]
    assert 0.2 < float((labels[1:] == labels[:-1]).double().mean()) < 0.3


def test_complete_graph():
    graph = sbm(9, 1, 1, average_degree=8.0, homophily=1.0, **NO_SPLIT)
    assert graph.num_edges == 72


def test_features_are_gaussian_around_class_means():
    graph = sbm(60_000, 3, 16, seed=2, separation=6.0)
    means = torch.stack([graph.x[graph.y == label].mean(dim=0) for label in range(3)])
    residual = graph.x - means[graph.y]
    assert abs(float(residual.std()) - 1) < 0.01
    distances = torch.pdist(means)
    assert 3 < float(distances.square().mean().sqrt()) < 9


def test_no_separation_means_no_signal():
    graph = sbm(60_000, 2, 4, separation=0.0)
    difference = graph.x[graph.y == 0].mean(dim=0) - graph.x[graph.y == 1].mean(dim=0)
    assert difference.abs().max() < 0.05


def test_seed_decides_everything():
    one, same, other = (sbm(500, 3, 4, seed=seed) for seed in (5, 5, 6))
    for key in one.keys():  # noqa: SIM118 - Data is no dict
        assert torch.equal(one[key], same[key])
    assert not torch.equal(one.edge_index[:, :50], other.edge_index[:, :50])
    assert not torch.equal(one.x, other.x)


def test_memory_is_of_the_order_of_nodes_and_edges():
    """One bit per pair of nodes would be 1.25 GB here; the arrays of edges and features take a few MB."""
    tracemalloc.start()
    try:
        sbm(100_000, 10, 4, average_degree=4.0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100e6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_nodes": 0}, r"num_classes must be between 1 and num_nodes = 0, got 5"),
        ({"num_classes": 0}, r"num_classes must be between 1 and num_nodes = 100, got 0"),
        ({"num_classes": 101}, r"num_classes must be between 1 and num_nodes = 100, got 101"),
        ({"num_features": 0}, r"num_features must be at least 1, got 0"),
        ({"average_degree": -0.5}, r"average_degree must be at least 0, got -0\.5"),
        ({"average_degree": math.nan}, r"average_degree must be at least 0, got nan"),
        ({"homophily": 1.5}, r"homophily must be between 0 and 1, got 1\.5"),
        ({"separation": -1.0}, r"separation must be finite and at least 0, got -1\.0"),
        ({"separation": math.inf}, r"separation must be finite and at least 0, got inf"),
        ({"average_degree": 50.0}, r"at most 950 edges within classes.*, got 2000"),
        ({"average_degree": 90.0, "homophily": 0.0}, r"at most 4000 edges between classes.*, got 4500"),
        ({"num_classes": 1}, r"at most 0 edges between classes.*, got 100"),
        ({"train_per_class": 15, "val_per_class": 6}, r"class 0 must have at least 15 \+ 6 nodes.* got 20"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(ValueError, match=message):
        sbm(**({"num_nodes": 100, **NO_SPLIT} | arguments))
