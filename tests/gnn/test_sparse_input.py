"""What is kept of a tensor, and dropout on the stored entries of sparse features."""

from __future__ import annotations

import gc
import weakref

import torch
import torch.nn.functional as F

from graphkd.gnn._derived import kept, with_self_loops
from graphkd.gnn._sparse_input import dropout_linear, sparse_rows


def sparse(rows=40, columns=25, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(rows, columns, generator=generator, dtype=dtype)
    return torch.where(torch.rand(rows, columns, generator=generator) < 0.05, x + 0.5, 0)


def test_the_product_is_the_dense_one():
    for x in (sparse(), sparse(20, 50), torch.zeros(3, 4, dtype=torch.float64)):
        weight = torch.randn(6, x.size(1), dtype=torch.float64, requires_grad=True)
        pull = torch.randn(x.size(0), 6, dtype=torch.float64)
        assert (sparse_rows(x) is None) == (x.count_nonzero() >= 0.1 * x.numel())
        found, want = dropout_linear(x, weight, 0.0, True), F.linear(x, weight)
        torch.testing.assert_close(found, want)
        slopes = (torch.autograd.grad(value, weight, pull)[0] for value in (found, want))
        torch.testing.assert_close(*slopes)


def test_dropout_of_stored_entries_has_the_law_of_dropout():
    """An entry is 0 with probability p, else divided by 1 - p; a zero stays 0."""
    x, p, draws = sparse(dtype=torch.float32), 0.8, 400
    torch.manual_seed(0)
    found = torch.stack([dropout_linear(x, torch.eye(25), p, True) for _ in range(draws)])
    assert not found[:, x == 0].any()
    entries = found[:, x != 0]
    kept_ones = entries != 0
    torch.testing.assert_close(entries[kept_ones], (x[x != 0] / (1 - p)).expand(draws, -1)[kept_ones])
    share, deviation = float(kept_ones.float().mean()), (p * (1 - p) / kept_ones.numel()) ** 0.5
    assert abs(share - (1 - p)) < 5 * deviation
    torch.testing.assert_close(dropout_linear(x, torch.eye(25), p, False), x)


def test_features_that_are_dense_or_trained_are_multiplied_densely():
    x = sparse().requires_grad_()
    weight = torch.randn(6, 25, dtype=torch.float64)
    (slope,) = torch.autograd.grad(dropout_linear(x, weight, 0.0, True).sum(), x)
    torch.testing.assert_close(slope, weight.sum(0).expand(40, -1))  # at zeros too
    assert sparse_rows(torch.ones(3, 4)) is None


def test_a_thing_is_made_once_until_the_tensor_is_written_to():
    made = []

    @kept
    def total(x, factor):
        made.append(1)
        return factor * float(x.sum())

    x = torch.ones(3)
    assert [total(x, 2), total(x, 2), total(x, 3)] == [6, 6, 9]
    assert len(made) == 2
    x[0] = 5
    assert total(x, 3) == 21
    gone = weakref.ref(x)
    del x
    gc.collect()
    assert gone() is None


def test_loops_are_added_where_there_are_none():
    edges = torch.tensor([[0, 1, 1, 2], [1, 1, 0, 2]])
    assert with_self_loops(edges, 4).tolist() == [[0, 1, 1, 2, 0, 3], [1, 1, 0, 2, 0, 3]]
    assert with_self_loops(torch.empty(2, 0, dtype=torch.long), 2).tolist() == [[0, 1], [0, 1]]
