"""Graphs of entities against brute force."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from recsys import Interactions
from recsys.data import entity_graphs
from recsys.data.entity_graphs import EntityGraph, co_occurrence, nearest


def dense(graph: EntityGraph) -> Tensor:
    size = len(graph.ptr) - 1
    found = torch.zeros(size, size, dtype=torch.float64)
    found[torch.repeat_interleave(graph.ptr.diff()), graph.column] = graph.value
    return found


def brute(taken: Tensor, k: int) -> Tensor:
    """FreqD's matrix by sorting every row of counts."""
    counts = taken @ taken.T
    size = len(counts)
    chosen = torch.zeros(size, size, dtype=torch.float64)
    for row in range(size):
        others = [other for other in range(size) if other != row and counts[row, other] > 0]
        for other in sorted(others, key=lambda other: (-int(counts[row, other]), other))[:k]:
            chosen[row, other] = 1
    mutual = (chosen + chosen.T) / 2
    degree = mutual.sum(dim=1)
    root = torch.where(degree > 0, degree, 1).rsqrt()
    return root[:, None] * mutual * root


@settings(max_examples=25, deadline=None)
@given(taken=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 4)), min_size=0, max_size=25), k=st.integers(1, 8))
def test_co_occurrence_is_brute_force(taken: list[tuple[int, int]], k: int) -> None:
    matrix = torch.zeros(7, 5, dtype=torch.int64)
    for user, item in taken:
        matrix[user, item] = 1
    pairs = Interactions.from_pairs(*matrix.nonzero().unbind(1), 7, 5)
    torch.testing.assert_close(dense(co_occurrence(pairs, k)), brute(matrix, k), rtol=1e-12, atol=0)
    torch.testing.assert_close(dense(co_occurrence(pairs.transpose(), k)), brute(matrix.T, k), rtol=1e-12, atol=0)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    ids = [torch.randint(size, (120,), generator=generator) for size in (30, 20)]
    pairs = Interactions.from_pairs(*ids, 30, 20)
    whole = dense(co_occurrence(pairs, 4))
    for block in (1, 50, 300):
        monkeypatch.setattr(entity_graphs, "_COUNTS", block)
        assert torch.equal(dense(co_occurrence(pairs, 4)), whole)


def test_nearest_is_brute_force_and_padding_is_nobody() -> None:
    table = torch.randn(9, 4, generator=torch.Generator().manual_seed(1))
    found = dense(nearest(table, 3))
    for row in range(9):
        gaps = [(float((table[row] - table[other]).norm()), other) for other in range(9) if other != row]
        assert set(found[row].nonzero().flatten().tolist()) == {other for _, other in sorted(gaps)[:3]}
    assert torch.equal(found.sum(dim=1), torch.ones(9, dtype=torch.float64))
    padded = dense(nearest(table, 3, padding=True))
    assert not padded[0].any()
    assert not padded[:, 0].any()
    assert torch.equal(padded[1:, 1:], dense(nearest(table[1:], 3)))


def test_a_table_with_fewer_rows_than_neighbours_has_those_there_are() -> None:
    assert torch.equal(dense(nearest(torch.eye(3), 5)), (1 - torch.eye(3, dtype=torch.float64)) / 2)
    assert not dense(nearest(torch.eye(1), 5)).any()


@pytest.mark.parametrize("kept", [None, "drawn"])
def test_around_is_rows_of_the_dense_product(kept: str | None) -> None:
    torch.manual_seed(0)
    graph = nearest(torch.randn(9, 4), 3)
    stays = torch.rand(len(graph.column)) < 0.5 if kept else None
    ids, x = torch.tensor([2, 7, 8]), torch.randn(9, 2, dtype=torch.float64)
    matrix = dense(graph._replace(value=graph.value * (1 if stays is None else stays / 0.5)))
    around = graph.around(ids, 0.5 if kept else 1.0, stays)
    assert set(around.nodes.tolist()) <= {2, 7, 8, *matrix[ids].nonzero()[:, 1].tolist()}
    torch.testing.assert_close(around.mixed(x[around.nodes], 0.3, 0.7), 0.3 * x[ids] + 0.7 * (matrix @ x)[ids])


def test_dropped_edges_leave_the_mean() -> None:
    torch.manual_seed(0)
    graph, ids = nearest(torch.randn(9, 4), 4), torch.arange(9)
    x = torch.randn(9, 1, dtype=torch.float64)
    draws = [graph.around(ids, 0.5) for _ in range(2000)]
    mean = torch.stack([around.mixed(x[around.nodes], 0.0, 1.0) for around in draws]).mean(dim=0)
    torch.testing.assert_close(mean, dense(graph) @ x, atol=0.06, rtol=0)
    assert sum(len(around.row) for around in draws) / 2000 == pytest.approx(18, rel=0.03)


def test_errors() -> None:
    with pytest.raises(ValueError, match="'k' must be at least 1, got 0"):
        nearest(torch.eye(3), 0)
    with pytest.raises(ValueError, match="'k' must be at least 1, got -1"):
        co_occurrence(Interactions.from_pairs([0], [0], 1, 1), -1)
    with pytest.raises(ValueError, match="'edges' must ascend by row"):
        EntityGraph.from_edges(torch.tensor([[1, 0], [0, 1]]), torch.ones(2), 2)
    with pytest.raises(ValueError, match=r"'edges' must be \(2, E\), 'value' \(E,\), got \(2, 2\) and \(3,\)"):
        EntityGraph.from_edges(torch.tensor([[0, 1], [0, 1]]), torch.ones(3), 2)
