"""LightGNN: against dense matrices, and what pruning leaves."""

from __future__ import annotations

import pytest
import torch

from recsys.models import LightGNN
from tests.recsys.laws import toy


def made(**options) -> LightGNN:
    torch.manual_seed(0)
    model = LightGNN(toy(), 3, 2, **options).double()
    model.values = model.values.double()
    return model


def dense(model: LightGNN) -> torch.Tensor:
    size = model.num_users + model.num_items
    a = torch.zeros(size, size, dtype=torch.float64)
    a[tuple(model.edges)] = model.values * model.edge_weight.detach() * model.edge_mask
    return a


@pytest.mark.parametrize("hops", [0, 4])
def test_tables_are_the_sum_of_powers(hops):
    model = made(hops=hops)
    with torch.no_grad():
        model.edge_weight.uniform_()
    edges = torch.rand(len(model.values)) < 0.8
    model.edge_mask &= edges
    model.entry_mask &= torch.rand(model.entry_mask.shape) < 0.7
    a, table = dense(model), model.table.weight.detach() * model.entry_mask
    torch.testing.assert_close(torch.cat(model.tables()), table + a @ table + a @ a @ table)


def test_the_graph_is_that_of_pairs_and_loops_normalised():
    model, pairs = made(), toy()
    size = model.num_users + model.num_items
    g = torch.eye(size, dtype=torch.float64)
    users, items = pairs.pairs()
    g[users, items + model.num_users] = g[items + model.num_users, users] = 1
    root = g.sum(dim=1).rsqrt()
    torch.testing.assert_close(dense(model), root[:, None] * g * root, atol=1e-7, rtol=1e-6)


def test_hops_are_the_most_common_neighbours_by_number():
    model, pairs = made(hops=2), toy()
    users, items = pairs.pairs()
    r = torch.zeros(pairs.num_users, pairs.num_items, dtype=torch.float64)
    r[users, items] = 1
    counts, found = (r @ r.T).fill_diagonal_(0), dense(model)[: pairs.num_users, : pairs.num_users].fill_diagonal_(0)
    kept = found > 0
    assert torch.equal(kept, kept.T)
    least = counts.topk(2, dim=1).values[:, -1:]
    assert kept[(counts > least) & (counts > 0)].all()  # of equal counts only some
    assert not kept[counts == 0].any()
    root = dense(model).diagonal()[: pairs.num_users].sqrt()  # a loop is 1 / degree
    torch.testing.assert_close(found[kept], (root[:, None] * counts * root)[kept], rtol=1e-5, atol=1e-8)


def test_what_is_pruned_stays_so_and_kept_edges_begin_anew():
    model = made()
    with torch.no_grad():
        model.edge_weight.uniform_()
    edges, entries = torch.rand(len(model.values)) < 0.5, torch.rand(model.entry_mask.shape) < 0.5
    model.prune(edges, entries)
    assert torch.equal(model.edge_mask, edges)
    assert bool((model.edge_weight == 1).all())
    assert not model.table.weight[~entries].any()
    model.prune(torch.ones_like(edges), torch.ones_like(entries))
    assert model.kept() == (float(edges.float().mean()), float(entries.float().mean()))
    torch.cat(model.tables()).square().sum().backward()
    assert not model.edge_weight.grad[~edges].any()
    assert not model.table.weight.grad[~entries].any()
    model.reset_parameters()
    assert model.kept() == (1.0, 1.0)
