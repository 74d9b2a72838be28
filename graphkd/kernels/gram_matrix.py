"""Distances between N x N similarity matrices from d x d Gram matrices, never building N x N.

With A of shape (N, d_s) and B of shape (N, d_t),
|A A' - B B'|^2 = |A' A|^2 + |B' B|^2 - 2 |A' B|^2, in O(N (d_s^2 + d_t^2 + d_s d_t)) time and O(d^2) memory.
The value is a small difference of large numbers, hence Gram matrices are summed in float64.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphkd.kernels.operators import accumulation_dtype, operator

_ROWS = 1 << 14  # cast to float64 at a time


def gram(a: Tensor, b: Tensor, weight: Tensor | None = None) -> Tensor:
    """Weighted inner products of columns, A' diag(weight) B: (N, p), (N, q), (N,) -> (p, q) in float64."""
    if weight is None:
        weight = a.new_ones(()).expand(a.size(0))
    return _gram(a, b, weight)


def gram_reference(a: Tensor, b: Tensor, weight: Tensor | None = None) -> Tensor:
    """``gram`` as one float64 product."""
    wide = a.double() if weight is None else a.double() * weight.double()[:, None]
    return wide.t() @ b.double()


def gram_distance(aa: Tensor, bb: Tensor, ab: Tensor) -> Tensor:
    """Squared Frobenius distance |A A' - B B'|^2 from the three Gram matrices A' A, B' B and A' B; scalar, >= 0."""
    return (aa.square().sum() + bb.square().sum() - 2 * ab.square().sum()).clamp_min(0)


def polynomial_features(x: Tensor, offset: float = 0.0) -> Tensor:
    """Rows whose inner products are (x_i . x_j + offset)^2: (N, d) -> (N, d (d + 1) / 2); with an offset d + 1 more."""
    rows, columns = torch.triu_indices(x.size(1), x.size(1), device=x.device)
    factor = x.new_ones(rows.shape).masked_fill(rows != columns, 2**0.5)
    features = x[:, rows] * x[:, columns] * factor
    if offset == 0:
        return features
    return torch.cat([features, x * (2 * offset) ** 0.5, x.new_full((x.size(0), 1), offset)], dim=1)


def squared_distance_divergence(
    student: Tensor, teacher: Tensor, student_scale: Tensor, teacher_scale: Tensor
) -> Tensor:
    """Squared Frobenius distance between two scaled matrices of squared Euclidean distances; scalar, float64.

    |D_s / m_s - D_t / m_t|^2 with D_ij = |x_i - x_j|^2. D has rank d + 2: D = P Q' with P = [a, 1, -2 X] and
    Q = [1, a, X], a = squared row norms, so that every inner product of two such matrices is one of Gram matrices.
    student: (N, d_s), teacher: (N, d_t), scales m: scalars. O(N d^2) time, O(N d) memory.
    """
    (ps, qs), (pt, qt) = (_distance_factors(x) for x in (student, teacher))
    ss = (gram(ps, ps) * gram(qs, qs)).sum() / student_scale**2
    tt = (gram(pt, pt) * gram(qt, qt)).sum() / teacher_scale**2
    st = (gram(ps, pt) * gram(qs, qt)).sum() / (student_scale * teacher_scale)
    return (ss + tt - 2 * st).clamp_min(0)


def _distance_factors(x: Tensor) -> tuple[Tensor, Tensor]:
    x = x - x.mean(dim=0)  # distances do not change, cancellation shrinks
    norm = x.square().sum(dim=1, keepdim=True)
    one = torch.ones_like(norm)
    return torch.cat([norm, one, -2 * x], dim=1), torch.cat([one, norm, x], dim=1)


@operator("gram")
def _gram(a: Tensor, b: Tensor, weight: Tensor) -> Tensor:
    total = torch.zeros(a.size(1), b.size(1), dtype=torch.float64, device=a.device)
    for start in range(0, a.size(0), _ROWS):
        rows = slice(start, start + _ROWS)
        total.addmm_((a[rows].double() * weight[rows].double()[:, None]).t(), b[rows].double())
    return total


@_gram.register_fake
def _(a: Tensor, b: Tensor, weight: Tensor) -> Tensor:
    return a.new_empty(a.size(1), b.size(1), dtype=torch.float64)


def _gram_setup(ctx: Any, inputs: tuple, output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _gram_backward(ctx: Any, grad: Tensor) -> tuple:
    a, b, weight = ctx.saved_tensors
    grad_a = grad_b = grad_weight = None
    wide = accumulation_dtype(a)
    pull = b.to(wide) @ grad.t().to(wide)
    if ctx.needs_input_grad[0]:
        grad_a = (pull * weight[:, None]).to(a.dtype)
    if ctx.needs_input_grad[1]:
        grad_b = ((a.to(wide) @ grad.to(wide)) * weight[:, None]).to(b.dtype)
    if ctx.needs_input_grad[2]:
        grad_weight = (pull * a).sum(dim=1).to(weight.dtype)
    return grad_a, grad_b, grad_weight


_gram.register_autograd(_gram_backward, setup_context=_gram_setup)
