"""Distance between two N x N matrices of squared Euclidean distances, from small Gram matrices.

D_ij = |x_i - x_j|^2 has rank d + 2: D = P Q' with P = [a, 1, -2 X] and Q = [1, a, X], a = squared row norms. So every
inner product of two such matrices follows from Gram matrices of F = [a, 1, X]. F is never stored: its rows are computed
in blocks, in float64, forward and backward.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphkd.kernels.checks import check_rows
from graphkd.kernels.operators import operator, row_blocks

_ELEMENTS = 1 << 18  # of a block of F: 2 MB, which stays in the processor's cache


def squared_distance_divergence(
    student: Tensor, teacher: Tensor, student_scale: Tensor, teacher_scale: Tensor
) -> Tensor:
    """Squared Frobenius distance between two scaled matrices of squared Euclidean distances; scalar, float64.

    |D_s / m_s - D_t / m_t|^2 with D_ij = |x_i - x_j|^2.
    student: (N, d_s), teacher: (N, d_t), scales m: scalars (0: that side's distances count as 0). O(N d^2) time,
    O(N + d^2) memory. Not twice differentiable in the rows.
    """
    check_rows(student=student, teacher=teacher)
    # Subtracting the centres shrinks cancellation; distances do not depend on them, so they may be constants.
    centres = (x.detach().mean(dim=0) for x in (student, teacher))
    ss, tt, st = (_inner_product(gram) for gram in _distance_grams(student, teacher, *centres))
    by_s, by_t = (torch.where(scale == 0, torch.inf, scale).reciprocal() for scale in (student_scale, teacher_scale))
    return (ss * by_s**2 + tt * by_t**2 - 2 * st * (by_s * by_t)).clamp_min(0)


def squared_distance_divergence_reference(
    student: Tensor, teacher: Tensor, student_scale: Tensor, teacher_scale: Tensor
) -> Tensor:
    """``squared_distance_divergence`` with the N x N x d differences built."""
    one, other = ((x.double()[:, None] - x.double()).square().sum(dim=2) for x in (student, teacher))
    return (one / student_scale - other / teacher_scale).square().sum()


def _factor(x: Tensor, centre: Tensor) -> Tensor:
    """Compute [|x - c|^2, 1, x - c]: (N, d), (d,) -> (N, d + 2) in float64."""
    x = x.double() - centre.double()
    norm = x.square().sum(dim=1, keepdim=True)
    return torch.cat([norm, torch.ones_like(norm), x], dim=1)


def _inner_product(gram: Tensor) -> Tensor:
    """Sum (P'P) * (Q'Q), with P = F diag(1, 1, -2, ...) and Q = F but for its first two columns swapped."""
    p, q = gram.shape
    swapped, weight = torch.arange(max(p, q), device=gram.device), gram.new_full((max(p, q),), -2)
    swapped[:2], weight[:2] = swapped[:2].flip(0), 1
    return (weight[:p, None] * weight[:q] * gram * gram[swapped[:p]][:, swapped[:q]]).sum()


@operator("distance_grams")
def _distance_grams(
    student: Tensor, teacher: Tensor, student_centre: Tensor, teacher_centre: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute F_s' F_s, F_t' F_t and F_s' F_t."""
    p, q = student.size(1) + 2, teacher.size(1) + 2
    ss, tt, st = (student.new_zeros(shape, dtype=torch.float64) for shape in ((p, p), (q, q), (p, q)))
    for rows in row_blocks(student.size(0), max(p, q), _ELEMENTS, student.device):
        s, t = _factor(student[rows], student_centre), _factor(teacher[rows], teacher_centre)
        ss.addmm_(s.t(), s)
        tt.addmm_(t.t(), t)
        st.addmm_(s.t(), t)
    return ss, tt, st


@_distance_grams.register_fake
def _(
    student: Tensor, teacher: Tensor, student_centre: Tensor, teacher_centre: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    p, q = student.size(1) + 2, teacher.size(1) + 2
    ss, tt, st = (student.new_empty(shape, dtype=torch.float64) for shape in ((p, p), (q, q), (p, q)))
    return ss, tt, st


@operator("distance_grams_backward")
def _distance_grams_pull(x: Tensor, y: Tensor, centre: Tensor, y_centre: Tensor, xx: Tensor, xy: Tensor) -> Tensor:
    """Compute the gradient of x from those of F_x' F_x and F_x' F_y."""
    same, cross = xx + xx.t(), xy.t().contiguous()
    pulled = torch.empty_like(x, memory_format=torch.contiguous_format)
    for rows in row_blocks(x.size(0), max(same.size(0), cross.size(0)), _ELEMENTS, x.device):
        factor = _factor(x[rows], centre)
        pull = torch.addmm(_factor(y[rows], y_centre) @ cross, factor, same)
        pulled[rows] = torch.addcmul(pull[:, 2:], pull[:, :1], factor[:, 2:], value=2).to(x.dtype)
    return pulled


@_distance_grams_pull.register_fake
def _(x: Tensor, y: Tensor, centre: Tensor, y_centre: Tensor, xx: Tensor, xy: Tensor) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def _setup(ctx: Any, inputs: tuple, output: Any) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, ss: Tensor, tt: Tensor, st: Tensor) -> tuple:
    student, teacher, student_centre, teacher_centre = ctx.saved_tensors
    of_student = of_teacher = None
    if ctx.needs_input_grad[0]:
        of_student = _distance_grams_pull(student, teacher, student_centre, teacher_centre, ss, st)
    if ctx.needs_input_grad[1]:
        of_teacher = _distance_grams_pull(teacher, student, teacher_centre, student_centre, tt, st.t().contiguous())
    return of_student, of_teacher, None, None


_distance_grams.register_autograd(_backward, setup_context=_setup)
