"""Divergences of softmax distributions over products of rows: no N x M matrix is stored, backward recomputes it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphkd.kernels.checks import check_rows, check_widths
from graphkd.kernels.operators import accumulation_dtype, operator, row_blocks

_BLOCK_ELEMENTS = 1 << 22
Sides = tuple[Tensor, Tensor, Tensor, Tensor]


def product_kl(
    student: Tensor,
    student_candidate: Tensor,
    teacher: Tensor,
    teacher_candidate: Tensor,
    scale: float = 1.0,
    groups: int = 1,
) -> Tensor:
    """KL(teacher || student) of every anchor's softmax over candidates, summed over groups of candidates: (N,).

    sum_g KL(softmax_{j in g}(c t_i . u_j) || softmax_{j in g}(c s_i . v_j)), c the scale. student: (N, p), its
    candidates v: (M, p); teacher: (N, q), its candidates u: (M, q). The candidates are ``groups`` runs of equal length.
    O(N M (p + q)) time, O((N + M) (p + q) + block) memory. Not twice differentiable. Raises ValueError where M is no
    multiple of ``groups``.
    """
    check_rows(student=student, teacher=teacher)
    check_rows(student_candidate=student_candidate, teacher_candidate=teacher_candidate)
    check_widths(student=student, student_candidate=student_candidate)
    check_widths(teacher=teacher, teacher_candidate=teacher_candidate)
    if student_candidate.size(0) % groups:
        raise ValueError(f"'groups' must divide the {student_candidate.size(0)} candidates, got {groups}")
    return _product_kl(student, student_candidate, teacher, teacher_candidate, scale, groups)


def product_kl_reference(
    student: Tensor,
    student_candidate: Tensor,
    teacher: Tensor,
    teacher_candidate: Tensor,
    scale: float = 1.0,
    groups: int = 1,
) -> Tensor:
    """``product_kl`` with both N x M matrices."""
    shape = (student.size(0), groups, -1)
    q, p = (
        (scale * anchor @ candidate.t()).view(shape).log_softmax(dim=2)
        for anchor, candidate in ((student, student_candidate), (teacher, teacher_candidate))
    )
    return (p.exp() * (p - q)).sum(dim=(1, 2))


def _log_softmax(anchor: Tensor, candidate: Tensor, rows: slice, scale: float, groups: int) -> Tensor:
    """Compute log-probabilities of some rows, (rows, groups, members)."""
    products = (scale * anchor[rows]) @ candidate.t()
    return products.view(products.size(0), groups, candidate.size(0) // groups).log_softmax(dim=2)


@operator("product_kl")
def _product_kl(
    student: Tensor, student_candidate: Tensor, teacher: Tensor, teacher_candidate: Tensor, scale: float, groups: int
) -> Tensor:
    wide = accumulation_dtype(student)
    a, b, u, v = (x.to(wide) for x in (student, student_candidate, teacher, teacher_candidate))
    found = a.new_empty(a.size(0))
    for rows in row_blocks(a.size(0), b.size(0), _BLOCK_ELEMENTS, a.device):
        p = _log_softmax(u, v, rows, scale, groups)
        found[rows] = p.exp().mul_(p - _log_softmax(a, b, rows, scale, groups)).sum(dim=(1, 2))
    return found


@_product_kl.register_fake
def _(student: Tensor, *others: Any) -> Tensor:
    return student.new_empty(student.size(0), dtype=accumulation_dtype(student))


@operator("product_kl_backward")
def _pull(
    grad: Tensor, own: Tensor, own_candidate: Tensor, other: Tensor, other_candidate: Tensor,
    scale: float, groups: int, of_teacher: bool,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Compute the gradients of one side; d KL(p || q) is q - p by q's scores, p (log p/q - KL) by p's."""
    wide = accumulation_dtype(own)
    a, b, u, v, grad = (x.to(wide) for x in (own, own_candidate, other, other_candidate, grad))
    of_rows, of_candidates = (torch.zeros_like(x, memory_format=torch.contiguous_format) for x in (a, b))
    for rows in row_blocks(a.size(0), b.size(0), _BLOCK_ELEMENTS, a.device):
        mine, theirs = (_log_softmax(*side, rows, scale, groups) for side in ((a, b), (u, v)))
        weight = mine.exp()
        if of_teacher:
            ratio = mine.sub_(theirs)
            ratio -= (weight * ratio).sum(dim=2, keepdim=True)
            weight *= ratio
        else:
            weight -= theirs.exp_()
        weight = weight.flatten(1).mul_(scale * grad[rows, None])
        of_rows[rows] = weight @ b
        of_candidates.addmm_(weight.t(), a[rows])
    return of_rows.to(own.dtype), of_candidates.to(own_candidate.dtype)


@_pull.register_fake
def _(grad: Tensor, own: Tensor, own_candidate: Tensor, *others: Any) -> tuple[Tensor, ...]:
    return tuple(torch.empty_like(x, memory_format=torch.contiguous_format) for x in (own, own_candidate))


def _setup(ctx: Any, inputs: tuple, output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:4])
    ctx.options = inputs[4:]


def _backward(ctx: Any, grad: Tensor) -> tuple:
    student, teacher = ctx.saved_tensors[:2], ctx.saved_tensors[2:]
    needs = ctx.needs_input_grad
    of_student = of_teacher = (None, None)
    if any(needs[:2]):
        of_student = _pull(grad, *student, *teacher, *ctx.options, False)
    if any(needs[2:4]):
        of_teacher = _pull(grad, *teacher, *student, *ctx.options, True)
    return *of_student, *of_teacher, None, None


_product_kl.register_autograd(_backward, setup_context=_setup)
