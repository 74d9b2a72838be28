"""Cross distillation: the formula, its limits, and the exact minimiser under a mask."""

from __future__ import annotations

import pytest
import torch

from graphkd.schemes.cross_layer import cross_distillation, fit_masked, soft_cross_distillation
from tests.kernels.graphs import normal

H_S, H_T = (normal(12, 5, dtype=torch.float64, seed=seed) for seed in (0, 1))
W_S, W_T = (normal(3, 5, dtype=torch.float64, seed=seed) for seed in (2, 3))


def squared(rows, weight, other_rows, other_weight):
    total = 0.0
    for i in range(12):
        for o in range(3):
            one = sum(float(weight[o, c] * rows[i, c]) for c in range(5))
            other = sum(float(other_weight[o, c] * other_rows[i, c]) for c in range(5))
            total += (one - other) ** 2
    return total / 36


def test_terms():
    found = cross_distillation(H_S, H_T, W_S, W_T, 0.7)
    correction, imitation = squared(H_T, W_S, H_T, W_T), squared(H_S, W_S, H_S, W_T)
    assert [float(term) for term in found] == pytest.approx([0.7 * correction + 0.3 * imitation, correction, imitation])


def test_soft():
    mixed, wanted = 0.8 * H_S + 0.2 * H_T, 0.6 * H_T + 0.4 * H_S
    found = soft_cross_distillation(H_S, H_T, W_S, W_T, alpha=0.8, beta=0.6)
    assert float(found) == pytest.approx(squared(mixed, W_S, wanted, W_T))


def test_free_minimiser_is_the_teacher():
    torch.testing.assert_close(fit_masked(H_S, H_T, W_T, torch.ones(5, dtype=torch.bool)), W_T)


@pytest.mark.parametrize("by_channel", [True, False])
def test_masked_minimiser(by_channel):
    mask = torch.tensor([True, False, True, True, False]) if by_channel else W_T.abs() > 0.3
    found = fit_masked(H_S, H_T, W_T, mask).requires_grad_()
    assert bool((found[~mask.expand(3, 5)] == 0).all())
    (slope,) = torch.autograd.grad(cross_distillation(H_S, H_T, found, W_T).loss, found)
    assert float(slope[mask.expand(3, 5)].abs().max()) < 1e-12
    pruned = cross_distillation(H_S, H_T, W_T * mask, W_T).loss
    assert cross_distillation(H_S, H_T, found.detach(), W_T).loss < 0.9 * pruned


def test_masked_minimiser_of_float32_rows_is_that_of_float64():
    """Of nearly equal columns, whose moments float32 cannot tell from singular ones."""
    torch.manual_seed(3)
    x = torch.randn(20, 1) + 1e-3 * torch.randn(20, 4)
    teacher, mask = torch.randn(2, 4), torch.tensor([True, True, True, False])
    found = fit_masked(x, x, teacher, mask)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, fit_masked(x.double(), x.double(), teacher.double(), mask).float())


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="'teacher' must have the rows of 'student'"):
        cross_distillation(H_S, H_T[:3], W_S, W_T)
