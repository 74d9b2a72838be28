"""KL along weighted edges: the formulas, one edge at a time."""

from __future__ import annotations

import math

import pytest
import torch

from graphkd.losses import LowFrequency
from graphkd.losses.graphs.neighbour_kl import EdgeTargets, entropy, neighbour_kl
from tests.losses.example import (
    EDGE_INDEX,
    EDGES,
    NODES,
    STUDENT,
    TEACHER,
    WIDE_TEACHER,
    assert_value,
    divergence,
    softmax,
)

WEIGHTS = [0.3, 1.2, 0.0, 0.7, 0.1, 2.0, 0.5, 0.9, 0.4]


@pytest.mark.parametrize("loops", [0.0, 1.0])
@pytest.mark.parametrize("total", [None, 7.5])
def test_weighted_edges(loops, total):
    """i learns from j along (i, j)."""
    edges = [*zip(EDGES, WEIGHTS, strict=True), *(((node, node), loops) for node in NODES)]
    want = sum(w * divergence(softmax(TEACHER[j], 1.3), softmax(STUDENT[i], 1.3)) for (i, j), w in edges)
    weights = torch.tensor(WEIGHTS, dtype=torch.float64)
    found = EdgeTargets.of(TEACHER, EDGE_INDEX, weights, temperature=1.3, loops=loops, total=total)
    assert_value(neighbour_kl(STUDENT, found, 1.3), want / (total or len(EDGES) + loops * len(NODES)))


@pytest.mark.parametrize("smoothing", [0.0, 0.01])
@pytest.mark.parametrize("loops", [False, True])
def test_mixed_targets(smoothing, loops):
    edges = [*zip(EDGES, [w / 2 for w in WEIGHTS], strict=True), *(((node, node), 0.3) for node in NODES if loops)]
    total = 0.0
    for (i, j), w in edges:
        target = [(1 - w) * a + w * b for a, b in zip(softmax(TEACHER[i], 0.8), softmax(TEACHER[j], 0.8), strict=True)]
        target = [(t + smoothing) / (1 + 3 * smoothing) for t in target]
        total += divergence(target, softmax(STUDENT[i], 0.8))
    shares = torch.tensor(WEIGHTS, dtype=torch.float64) / 2
    found = EdgeTargets.mixed(TEACHER, EDGE_INDEX, shares, temperature=0.8, smoothing=smoothing, loops=loops)
    assert_value(neighbour_kl(STUDENT, found, 0.8), total / len(edges))


def test_the_gradient_is_that_of_the_sum_over_edges():
    def slow(student):
        log_p = (student / 0.9).log_softmax(1)
        q = (TEACHER / 0.9).softmax(1)
        return torch.stack([(q[j] * (q[j].log() - log_p[i])).sum() for i, j in EDGES]).mean()

    one, other = (STUDENT.clone().requires_grad_() for _ in range(2))
    neighbour_kl(one, EdgeTargets.of(TEACHER, EDGE_INDEX, temperature=0.9), 0.9).backward()
    slow(other).backward()
    torch.testing.assert_close(one.grad, other.grad)


def test_it_is_the_low_frequency_of_ffg2m_where_all_weights_are_one():
    want = LowFrequency(self_loops=True)(STUDENT, TEACHER, edge_index=EDGE_INDEX)
    torch.testing.assert_close(neighbour_kl(STUDENT, EdgeTargets.of(TEACHER, EDGE_INDEX, loops=1.0)), want)


def test_no_edges_teach_nothing():
    none = torch.zeros(2, 0, dtype=torch.long)
    for targets in (EdgeTargets.of(TEACHER, none), EdgeTargets.mixed(TEACHER, none, torch.zeros(0))):
        assert neighbour_kl(STUDENT, targets) == 0


def test_entropies_of_certain_answers_are_zero():
    assert entropy(torch.tensor([[0.0, 1e4], [0.0, 0.0]])).tolist() == pytest.approx([0.0, math.log(2)])


def test_widths_must_agree():
    with pytest.raises(ValueError, match=r"'teacher' must be as wide as 'student' \(3\), got 5"):
        neighbour_kl(STUDENT, EdgeTargets.of(WIDE_TEACHER, EDGE_INDEX))
