"""The local structure loss of every node, by its definition: one node at a time."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphkd.kernels import edge_kl, local_structure_kl, segment_log_softmax, similarity_in_layout
from tests.kernels.graphs import EXAMPLE, NO_EDGES, QUICK, assert_close, graphs


@QUICK
@given(graph=graphs(), width=st.integers(1, 6), sigma=st.floats(0.5, 100), reverse=...)
def test_rbf_by_definition(graph, width, sigma, reverse: bool):
    """Divergence of the softmax over exp(-|x_i - x_j|^2 / (2 sigma)) from given probabilities."""
    x, layout = graph.nodes(width), graph.layout
    teacher = segment_log_softmax(graph.values(salt=1), layout)
    got = local_structure_kl(x, teacher, layout, sigma=sigma, reverse=reverse)
    for i in range(graph.num_nodes):
        edges = range(int(layout.ptr[i]), int(layout.ptr[i + 1]))
        squared = [sum((a - b) ** 2 for a, b in zip(x[i], x[layout.source[e]], strict=True)) for e in edges]
        weights = [math.exp(math.exp(-float(distance) / (2 * sigma))) for distance in squared]
        student = [weight / sum(weights) for weight in weights]
        given_ = [math.exp(float(teacher[e])) for e in edges]
        p, q = (student, given_) if reverse else (given_, student)
        assert float(got[i]) == pytest.approx(sum(a * math.log(a / b) for a, b in zip(p, q, strict=True)), abs=1e-9)


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("kernel", ["cosine", "poly", "euclidean", "laplacian"])
def test_equals_its_parts(kernel, normalise):
    x, layout = EXAMPLE.nodes(4), EXAMPLE.layout
    teacher = segment_log_softmax(EXAMPLE.values(salt=1), layout)
    parts = edge_kl(similarity_in_layout(x, layout, kernel, normalise=normalise), teacher, layout)
    assert_close(local_structure_kl(x, teacher, layout, kernel, normalise=normalise), parts)


@pytest.mark.parametrize("kernel", ["rbf", "cosine", "laplacian"])
def test_its_own_distribution_is_at_no_distance(kernel):
    x, layout = EXAMPLE.nodes(4).requires_grad_(), EXAMPLE.layout
    own = segment_log_softmax(similarity_in_layout(x.detach(), layout, kernel), layout)
    for reverse in (False, True):
        value = local_structure_kl(x, own, layout, kernel, reverse=reverse)
        assert_close(value, torch.zeros(6))
        assert_close(torch.autograd.grad(value.sum(), x)[0], torch.zeros(6, 4))


def test_nothing_without_edges():
    x = NO_EDGES.nodes(3).requires_grad_()
    value = local_structure_kl(x, x.new_zeros(0), NO_EDGES.layout)
    assert value.tolist() == [0, 0, 0]
    assert torch.autograd.grad(value.sum(), x)[0].abs().sum() == 0


def test_unknown_kernel():
    with pytest.raises(ValueError, match="'kernel' must be one of"):
        local_structure_kl(EXAMPLE.nodes(2), EXAMPLE.values(), EXAMPLE.layout, "gauss")
