"""Distributions over the edges that enter a node, by their definition: one node at a time."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphkd.kernels import edge_kl, segment_log_softmax
from graphkd.kernels.edges.segments import segment_sum
from tests.kernels.graphs import EXAMPLE, NO_EDGES, QUICK, assert_close, graphs


def log_probabilities(graph, scores):
    """Log of exp(u_e) / sum over the edges with e's target, in target order."""
    targets = graph.layout.target.tolist()
    total = [sum(math.exp(u) for u, t in zip(scores, targets, strict=True) if t == node) for node in range(99)]
    values = [float(u) - math.log(total[t]) for u, t in zip(scores, targets, strict=True)]
    return torch.tensor(values, dtype=torch.float64)


@QUICK
@given(graph=graphs(), scale=st.sampled_from([1.0, 30.0]))
def test_log_softmax(graph, scale):
    """Of scores near each other, which need no maximum of each node, and of others."""
    scores = scale * graph.values()
    got = segment_log_softmax(scores, graph.layout)
    assert_close(got, log_probabilities(graph, scores))
    entered = graph.layout.ptr.diff() > 0
    assert_close(segment_sum(got.exp(), graph.layout.ptr), entered.double())


@QUICK
@given(graph=graphs(), reverse=..., scale=st.sampled_from([1.0, 30.0]))
def test_kl(graph, reverse: bool, scale):
    student, teacher = scale * graph.values(), log_probabilities(graph, graph.values(salt=1))
    p, q = teacher.tolist(), log_probabilities(graph, student).tolist()
    if reverse:
        p, q = q, p
    want = torch.zeros(graph.num_nodes, dtype=torch.float64)
    for edge, target in enumerate(graph.layout.target.tolist()):
        want[target] += math.exp(p[edge]) * (p[edge] - q[edge])
    got = edge_kl(student, teacher, graph.layout, reverse=reverse)
    assert_close(got, want)
    assert (got >= -1e-12).all()


@pytest.mark.parametrize("reverse", [False, True])
def test_kl_of_equal_distributions_is_0(reverse):
    scores = EXAMPLE.values().requires_grad_()
    value = edge_kl(scores, segment_log_softmax(scores.detach() + 7, EXAMPLE.layout), EXAMPLE.layout, reverse=reverse)
    assert_close(value, torch.zeros(6))
    assert_close(torch.autograd.grad(value.sum(), scores)[0], torch.zeros(10))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_far_apart_scores_stay_finite(dtype):
    """exp(1000) overflows and exp(-1000) is 0, whose log is minus infinity: neither may be formed."""
    scores = torch.linspace(-1000, 1000, 10).to(dtype).requires_grad_()
    log_prob = segment_log_softmax(scores, EXAMPLE.layout)
    value = edge_kl(scores, segment_log_softmax(-scores.detach(), EXAMPLE.layout), EXAMPLE.layout).sum()
    (gradient,) = torch.autograd.grad(log_prob.sum() + value, scores)
    assert log_prob.isfinite().all()
    assert value.isfinite()
    assert value > 100
    assert gradient.isfinite().all()


def test_shift_of_scores_changes_nothing():
    scores, shift = EXAMPLE.values(), EXAMPLE.nodes(1, salt=1)[:, 0]
    shifted = scores + shift[EXAMPLE.layout.target]
    assert_close(segment_log_softmax(shifted, EXAMPLE.layout), segment_log_softmax(scores, EXAMPLE.layout))


def test_no_edges():
    scores = torch.zeros(0, requires_grad=True)
    value = edge_kl(scores, segment_log_softmax(scores, NO_EDGES.layout).detach(), NO_EDGES.layout)
    assert value.tolist() == [0, 0, 0]
    assert torch.autograd.grad(value.sum(), scores)[0].shape == (0,)
