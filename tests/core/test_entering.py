"""Edges by the node they enter: all of them by loops, and the law of draws from them."""

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from graphkd.core import entering as module
from graphkd.core.entering import Entering


def star(degree: int) -> Entering:
    """Make a graph whose node 0 is entered by an edge from each other node."""
    return Entering(torch.stack([torch.arange(1, degree + 1), torch.zeros(degree, dtype=torch.long)]), degree + 1)


def test_all_edges_that_enter_some_nodes():
    torch.manual_seed(0)
    source, target = edge_index = torch.randint(30, (2, 200))
    index, nodes = Entering(edge_index, 40), np.array([7, 3, 35, 12])
    owner, where = index.follow(nodes, -1)
    expected = [(place, e) for place, node in enumerate(nodes) for e in range(200) if int(target[e]) == node]
    assert list(zip(owner.tolist(), index.columns(where).tolist(), strict=True)) == expected
    assert index.sources(where).tolist() == source[index.columns(where)].tolist()
    assert index.degrees(nodes).tolist() == [int((target == node).sum()) for node in nodes.tolist()]


def test_without_edges():
    index, nodes = Entering(torch.empty(2, 0, dtype=torch.long), 3), np.array([0, 2])
    for fan_out, replace in ((-1, False), (2, False), (2, True)):
        assert all(len(each) == 0 for each in index.follow(nodes, fan_out, replace=replace))


@pytest.mark.parametrize("replace", [False, True])
def test_a_node_gets_its_fan_out_or_all_its_edges(replace):
    torch.manual_seed(1)
    edge_index = torch.randint(30, (2, 120))
    index, nodes = Entering(edge_index, 30), np.arange(30)
    owner, where = index.follow(nodes, 3, replace=replace)
    degrees = index.degrees(nodes)
    expected = 3 * (degrees > 0) if replace else np.minimum(degrees, 3)
    assert np.bincount(owner, minlength=30).tolist() == expected.tolist()
    assert edge_index[1, index.columns(where)].tolist() == nodes[owner].tolist()
    assert replace or len(set(where.tolist())) == len(where)


@pytest.mark.parametrize(("degree", "fan_out"), [(5, 2), (7, 3), (40, 2)])
def test_draws_are_uniform_among_the_sets_of_edges(degree, fan_out):
    torch.manual_seed(7)
    assert (degree > module._FEW * fan_out) == (degree == 40)  # both ways of drawing are looked at
    rounds = 6000
    _, where = star(degree).follow(np.zeros(rounds, np.int64), fan_out)
    counts = Counter(tuple(sorted(row)) for row in where.reshape(rounds, fan_out).tolist())
    sets = list(combinations(range(degree), fan_out))
    assert set(counts) <= set(sets)
    assert chisquare([counts[each] for each in sets]).pvalue > 1e-4


def test_draws_with_replacement_are_independent():
    torch.manual_seed(8)
    _, where = star(3).follow(np.zeros(9000, np.int64), 2, replace=True)
    drawn = where.reshape(-1, 2)
    assert chisquare(np.bincount(drawn[:, 0] * 3 + drawn[:, 1], minlength=9)).pvalue > 1e-4
