"""LightGNN's parts against their formulas as loops and dense matrices."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from recsys.losses import lightgnn
from recsys.losses.lightgnn import (
    edge_sizes,
    largest,
    layers_of,
    soft_pairs,
    spread,
    subspaces,
    table_contrast,
)

USERS, ITEMS = torch.tensor([0, 2, 3]), torch.tensor([1, 5])


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def tables() -> tuple[Tensor, Tensor]:
    return draw(5, 3, seed=1), draw(7, 3, seed=2)


def pairings() -> list[tuple[int, int]]:
    return [(one, other) for one in (0, 1) for other in (0, 1)]


def test_layers_are_powers_of_the_dense_matrix() -> None:
    a = torch.where(draw(6, 6) > 0.3, draw(6, 6, seed=5), 0)
    edges, x = a.nonzero().T, draw(6, 2, seed=3)
    found = layers_of(x, edges, a[tuple(edges)], 3)
    for power, layer in enumerate(found):
        torch.testing.assert_close(layer, torch.linalg.matrix_power(a, power) @ x)


def test_soft_pairs_are_a_cross_entropy_of_sigmoids() -> None:
    s, t = draw(6), draw(6, seed=1)
    total = 0.0
    for x, y in zip(s.tolist(), t.tolist(), strict=True):
        p, q = (1 / (1 + math.exp(-z / 0.5)) for z in (x, y))
        total -= q * math.log(p + 1e-8) + (1 - q) * math.log(1 - p + 1e-8)
    assert soft_pairs(s, t, 0.5).item() == pytest.approx(total / 6)
    assert soft_pairs(t, t, 0.5) < soft_pairs(s, t, 0.5)


def test_contrast_is_its_formula_and_least_for_the_teacher_itself() -> None:
    s, h, total = draw(5, 3), draw(5, 3, seed=1), 0.0

    def similar(e: int, x: int) -> float:
        a, b = h[e] + 1e-8, s[x] + 1e-8
        return math.exp((a @ b / (a.norm() * b.norm())).item() / 0.4)

    for e in USERS.tolist():
        total -= math.log(similar(e, e) / (sum(similar(e, x) for x in range(5)) + 1e-8))
    assert table_contrast(s, h, USERS, 0.4).item() == pytest.approx(total / 3)
    assert table_contrast(h, h, USERS, 0.4) < table_contrast(-h, h, USERS, 0.4)


def test_spread_is_its_formula() -> None:
    both, ids, total = tables(), (USERS, ITEMS), 0.0
    for one, other in pairings():
        rows = [sum(math.exp((both[one][e] @ x).item() / 0.7) for x in both[other]) for e in ids[one].tolist()]
        total += sum(math.log(row + 1e-5) for row in rows) / len(rows)
    assert spread(both, *ids, 0.7).item() == pytest.approx(total)


def test_spread_is_finite_where_its_powers_overflow() -> None:
    both = torch.full((4, 3), 30.0), torch.full((5, 3), 30.0)
    assert spread(both, torch.arange(4), torch.arange(5)).isfinite()


@pytest.mark.parametrize("loosen", [0.0, 1.0])
def test_subspaces_are_their_formula_whatever_the_block(loosen: float, monkeypatch: pytest.MonkeyPatch) -> None:
    both, ids, total = tables(), (USERS, ITEMS), 0.0
    masks = tuple((draw(len(table), 3, seed=8) > 0).double() for table in both)
    for one, other in pairings():
        for e in ids[one].tolist():
            logits = torch.stack([both[one][e] @ x for x in both[other]]) / 0.6
            for x, log in enumerate(logits.log_softmax(0).tolist()):
                m, n = masks[one][e], masks[other][x]
                common = (m * n).sum()
                total -= bool(common >= m.sum() - loosen and common >= n.sum() - loosen) * log / len(ids[one])
    leaves = [table.clone().requires_grad_() for table in both]
    slopes = []
    for block in (1 << 22, 1):
        monkeypatch.setattr(lightgnn, "_BLOCK", block)
        found = subspaces((leaves[0], leaves[1]), masks, *ids, loosen, 0.6)
        assert found.item() == pytest.approx(total)
        slopes.append(torch.autograd.grad(found, leaves))
    torch.testing.assert_close(slopes[0], slopes[1])


def test_rows_that_share_nothing_are_not_drawn_together() -> None:
    """The control: without a target there is no loss; with rows that keep all entries every pair is one."""
    apart = torch.tensor([[1.0, 0, 0]]).double(), torch.tensor([[0.0, 1, 0]]).double()
    one = draw(1, 3), draw(1, 3, seed=1)
    none = torch.zeros(1, dtype=torch.long)
    own = subspaces(one, apart, none, none, 0.0)
    assert own.item() == pytest.approx(0.0)  # each with itself alone: log softmax of one entry
    full = tuple(torch.ones_like(table) for table in tables())
    assert subspaces(tables(), full, USERS, ITEMS, 0.0) > 1


@pytest.mark.parametrize(("fraction", "left"), [(0.0, 7), (0.25, 5), (0.9, 0)])
def test_the_smallest_entries_go_and_with_them_the_one_at_the_threshold(fraction: float, left: int) -> None:
    x = torch.tensor([[0.5, -8.0, 3.0, 0.0], [-1.0, 2.0, 6.0, 0.0], [7.0, -4.0, 0.0, 0.0]])
    kept = largest(x, fraction)
    size = x.abs().flatten()
    threshold = size[size > 0].sort().values[int(8 * fraction)]
    assert torch.equal(kept, x.abs() > threshold)
    assert int(kept.sum()) == left
    assert not kept[x == 0].any()


def test_what_is_pruned_stays_pruned() -> None:
    x = draw(40)
    first = largest(x, 0.3)
    second = largest(x * first, 0.3)
    assert not second[~first].any()
    assert not largest(torch.zeros(3), 0.5).any()


def test_edges_are_judged_by_the_guide_too() -> None:
    edges, mask = torch.tensor([[0, 1, 2], [1, 2, 0]]), torch.tensor([1.0, 1.0, 0.0]).double()
    weights, guide = draw(3), draw(3, 2, seed=1)
    guide_edges, guide_weights = torch.tensor([[2, 0, 1], [0, 1, 1]]), draw(3, seed=2)
    found = edge_sizes(weights, mask, edges, guide, guide_edges, guide_weights, aug1=0.3, aug2=0.7)
    known = {(2, 0): guide_weights[0], (0, 1): guide_weights[1]}
    for place, (row, column) in enumerate(edges.T.tolist()):
        near = 1 / (1 + math.exp(-(guide[row] @ guide[column]).item()))
        want = weights[place].item() + 0.3 * near + 0.7 * float(known.get((row, column), 0.0))
        assert found[place].item() == pytest.approx(want * mask[place].item())
    plain = edge_sizes(weights, mask, edges, guide, guide_edges, guide_weights, aug1=0.0, aug2=0.0)
    torch.testing.assert_close(plain, weights * mask)


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"the share that is pruned must be in \[0, 1\), got 1"):
        largest(torch.ones(3), 1)
