from __future__ import annotations

import pytest
import torch
from torch_geometric import EdgeIndex

from graphkd.core.adjacency import edge_index_of

EDGES = torch.tensor([[0, 1, 2], [1, 0, 0]])  # sources, targets


def adjacency() -> torch.Tensor:
    return torch.zeros(3, 3).index_put((EDGES[1], EDGES[0]), torch.tensor([5.0, 6.0, 7.0]))


def pairs(edges: torch.Tensor) -> set[tuple[int, int]]:
    return set(zip(*edges.tolist(), strict=True))


def test_an_edge_index_is_given_back():
    assert edge_index_of(EDGES) is EDGES


@pytest.mark.parametrize("form", ["to_sparse_coo", "to_sparse_csr", "to_sparse_csc"])
def test_rows_of_adj_t_are_targets(form):
    adj_t = getattr(adjacency(), form)()
    found = edge_index_of(adj_t)
    assert pairs(found) == pairs(EDGES)
    assert edge_index_of(adj_t) is found  # once


def test_repeats_are_kept():
    twice = torch.sparse_coo_tensor(torch.tensor([[1, 1], [0, 0]]), torch.ones(2), (3, 3))
    assert edge_index_of(twice).tolist() == [[0, 0], [1, 1]]


def test_a_pyg_edge_index_becomes_a_tensor():
    edges = EdgeIndex(EDGES, sparse_size=(3, 3))
    found = edge_index_of(edges)
    assert type(found) is torch.Tensor
    assert torch.equal(found, EDGES)
    assert edge_index_of(edges) is found


def test_the_matrix_of_torch_sparse():
    class SparseTensor:
        """The part of torch_sparse's that is read."""

        def __init__(self):
            self.parts = EDGES[1].clone(), EDGES[0].clone(), None

        def coo(self):
            return self.parts

    adj_t = SparseTensor()
    found = edge_index_of(adj_t)
    assert torch.equal(found, EDGES)
    assert edge_index_of(adj_t) is found
