from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch_geometric.utils import to_undirected

from graphkd.gnn import deepwalk, extend_positions, random_walks


def two_cliques(size: int = 8) -> torch.Tensor:
    """Joined by one edge."""
    pairs = [(i + base, j + base) for base in (0, size) for i in range(size) for j in range(i)]
    return to_undirected(torch.tensor([*pairs, (0, size)]).t())


def test_walks_follow_edges_and_start_everywhere():
    edges = torch.tensor([[0, 1, 1, 2, 3], [1, 2, 0, 0, 3]])  # 4 has none
    walks = random_walks(edges, 5, length=6, per_node=3)
    assert walks.shape == (15, 6)
    assert walks[:, 0].bincount().tolist() == [3] * 5
    allowed = {*map(tuple, edges.t().tolist()), (4, 4)}
    steps = {pair for walk in walks.tolist() for pair in pairwise(walk)}
    assert steps <= allowed
    assert torch.equal(random_walks(edges, 5, length=6, per_node=3), walks)
    assert not torch.equal(random_walks(edges, 5, length=6, per_node=3, seed=1), walks)
    assert torch.equal(random_walks(torch.empty(2, 0, dtype=torch.long), 2, length=2)[:, 0].sort()[0], torch.arange(2))


def test_a_walk_goes_to_each_neighbour_equally_often():
    star = to_undirected(torch.tensor([[0] * 4, [1, 2, 3, 4]]))
    walks = random_walks(star, 5, length=41, per_node=100)
    after_centre = walks[:, 1:][walks[:, :-1] == 0].bincount(minlength=5)
    assert after_centre[0] == 0
    expected = int(after_centre.sum()) / 4
    chi_square = float(((after_centre[1:] - expected) ** 2 / expected).sum())
    assert chi_square < 16.27  # three degrees of freedom, 0.1 %


def test_nodes_of_one_community_get_like_positions():
    position = deepwalk(two_cliques(), 16, 8, length=20, per_node=20, epochs=2)
    assert position.shape == (16, 8)
    assert position.dtype == torch.float32
    unit = torch.nn.functional.normalize(position, dim=1)
    cosine, same = unit @ unit.t(), torch.arange(16)[:, None] // 8 == torch.arange(16) // 8
    apart = ~torch.eye(16, dtype=torch.bool)
    assert cosine[same & apart].mean() > cosine[~same].mean() + 0.1
    assert torch.equal(deepwalk(two_cliques(), 16, 8, length=20, per_node=20, epochs=2), position)


def test_an_unseen_node_takes_the_mean_of_seen_neighbours():
    seen = torch.tensor([True, False, True, False, False])
    position = torch.tensor([[1.0, 2.0], [3.0, 6.0]])  # of nodes 0 and 2
    edges = torch.tensor([[0, 2, 3, 1, 1, 0], [1, 1, 1, 0, 4, 2]])  # into 1: two seen, one not; into 4: one not seen
    found = extend_positions(position, seen, edges)
    assert found.tolist() == [[1, 2], [2, 4], [3, 6], [0, 0], [0, 0]]


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="'length' must be at least 1, got 0"):
        random_walks(two_cliques(), 16, length=0)
    with pytest.raises(ValueError, match="'per_node' must be at least 1, got -1"):
        random_walks(two_cliques(), 16, length=1, per_node=-1)
    with pytest.raises(ValueError, match="'position' must have a row for each of the 2 nodes seen, got 3"):
        extend_positions(torch.ones(3, 2), torch.tensor([True, True]), two_cliques())
