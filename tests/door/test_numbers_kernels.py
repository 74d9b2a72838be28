"""Gradients of kernels at rows of zeros and equal rows, half precision, large scores, and inputs without rows."""

from __future__ import annotations

import pytest
import torch

from graphkd.kernels import (
    affinity_divergence,
    affinity_sums,
    angle_divergence,
    edge_layout,
    edge_similarity,
    farthest_rows,
    infonce,
    local_structure_kl,
    mean_distance,
    pair_divergence,
    polynomial_features,
    product_logsumexp,
    segment_log_softmax,
    squared_distance_divergence,
)

EDGES = torch.tensor([[0, 1, 2, 1], [1, 0, 0, 2]])
LAYOUT = edge_layout(EDGES, 3)
TEACHER = torch.tensor([[1.0, 0.2], [0.1, 1], [0.5, 0.5]], dtype=torch.float64)
LOG_PROB = segment_log_softmax(torch.arange(4, dtype=torch.float64), LAYOUT)
RELATIONS = {
    "cosine": lambda x: edge_similarity(x, EDGES, "cosine"),
    "normalised": lambda x: edge_similarity(x, EDGES, "rbf", normalise=True),
    "local_structure": lambda x: local_structure_kl(x, LOG_PROB, LAYOUT, "cosine"),
    "pairs": lambda x: pair_divergence(x, TEACHER, "euclidean"),
    "angles": lambda x: angle_divergence(x, TEACHER),
    "mean_distance": mean_distance,
}
each_relation = pytest.mark.parametrize("relation", RELATIONS.values(), ids=RELATIONS)


def steepest(function, x):
    """The largest entry of the gradient of the sum."""
    x = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(function(x).sum(), x)
    return float(gradient.abs().max())


@each_relation
def test_a_zero_row_pulls_no_more_than_a_small_one(relation):
    zero, small = (torch.tensor([[a, 0.0], [1, 0.5], [0.3, 1]], dtype=torch.float64) for a in (0.0, 1e-3))
    assert steepest(relation, zero) <= 2 * steepest(relation, small)


@each_relation
def test_equal_rows_pull_no_more_than_ordinary_ones(relation):
    ordinary = torch.tensor([[0.7, -0.2], [1, 0.5], [0.3, 1]], dtype=torch.float64)
    assert steepest(relation, torch.ones(3, 2, dtype=torch.float64)) <= 10 * steepest(relation, ordinary) + 1e-12


def test_half_precision_is_summed_in_float32():
    torch.manual_seed(0)
    anchor, candidate = (60 * torch.randn(4, 64).half() for _ in range(2))
    value = infonce(anchor, candidate, 0.5)
    torch.testing.assert_close(value.double(), infonce(anchor.double(), candidate.double(), 0.5), rtol=1e-3, atol=1.0)
    assert polynomial_features(torch.full((1, 1), 300.0).half()).item() == 300**2


def test_equal_candidates_share_however_large_their_scores_are():
    """Beside 1e9 float32 has no room for log 3."""
    anchor, candidate = torch.full((2, 4), 1e4, requires_grad=True), torch.full((3, 4), 1e4)
    (gradient,) = torch.autograd.grad(product_logsumexp(anchor, candidate, 2.5).sum(), anchor)
    torch.testing.assert_close(gradient, torch.full_like(gradient, 2.5e4))


def test_a_row_opposite_to_all_others_has_no_probabilities():
    """Its cosines are -1, so that its sum without the diagonal is 0."""
    x = torch.tensor([[1.0, 0], [-1, 0], [-1, 0]], dtype=torch.float64, requires_grad=True)
    unit = x / x.norm(dim=1, keepdim=True)
    sums = affinity_sums(unit, "cosine", diagonal=False)
    teacher = TEACHER / TEACHER.norm(dim=1, keepdim=True)
    theirs = affinity_sums(teacher, "cosine", diagonal=False)
    value = affinity_divergence(unit, teacher, sums, theirs, "cosine", "jeffreys", diagonal=False)
    (gradient,) = torch.autograd.grad(value, x)
    assert value.isfinite()
    assert gradient.abs().max() <= 1e3


def test_a_scale_of_zero_counts_as_no_distances():
    zero, one = torch.zeros(()).double(), torch.ones(()).double()
    same = torch.ones(3, 2, dtype=torch.float64)
    want = (TEACHER[:, None] - TEACHER).square().sum(dim=2).square().sum()
    torch.testing.assert_close(squared_distance_divergence(same, TEACHER, zero, one), want)


def test_no_rows_have_no_farthest_pair():
    x = torch.zeros(0, 3, requires_grad=True)
    value = x[farthest_rows(x)].diff(dim=0).square().sum()
    value.backward()
    assert value == 0


@pytest.mark.parametrize("function", [farthest_rows, mean_distance, polynomial_features], ids=lambda f: f.__name__)
def test_rows_of_one_dimension_are_refused_by_name(function):
    with pytest.raises(ValueError, match=r"'x' must be a matrix of rows, \(N, d\), got shape \(5,\): use x\[:, None\]"):
        function(torch.zeros(5))
