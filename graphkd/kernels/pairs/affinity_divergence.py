"""Divergences between two sets of pairwise probabilities, summed over all pairs in tiles and never N x N."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from graphkd.kernels.operators import operator
from graphkd.kernels.pairs.affinities import (
    Affinity,
    AffinityKernel,
    affinity_reference,
    check_kernel,
    directions,
    tiles,
)

AffinityDivergence = Literal["kl", "kl_ratio", "jeffreys", "product"]


def affinity_divergence(
    student: Tensor,
    teacher: Tensor,
    student_sums: Tensor,
    teacher_sums: Tensor,
    kernel: AffinityKernel,
    divergence: AffinityDivergence,
    *,
    teacher_kernel: AffinityKernel | None = None,
    sigma: float = 1.0,
    degree: float = 1.0,
    eps: float = 0.0,
    kernel_eps: float | None = None,
    diagonal: bool = True,
) -> Tensor:
    """Divergence of two pairwise kernels divided by row sums, summed over all pairs; scalar, float64.

    p_ij = k(s_i, s_j) / student_sums_i, q_ij = k(t_i, t_j) / teacher_sums_i; student: (N, d_s), teacher: (N, d_t),
    sums: (N,). ``kl`` q log((q + eps) / (p + eps)); ``kl_ratio`` q log(eps + q / (p + eps)); ``jeffreys``
    (q - p)(log q - log p); ``product`` (p q)^2. Kernels and knobs: ``affinity_sums``; ``teacher_kernel`` is
    ``kernel`` unless given, ``kernel_eps``, what is added to squared distances, ``eps``. O(N^2 d) time. Not twice
    differentiable.
    """
    check_kernel(kernel)
    if divergence not in get_args(AffinityDivergence):
        raise ValueError(f"'divergence' must be one of {get_args(AffinityDivergence)}, got {divergence!r}")
    if student.size(0) != teacher.size(0):
        raise ValueError(f"'teacher' must have as many rows as 'student' ({student.size(0)}), got {teacher.size(0)}")
    kernels = kernel, teacher_kernel or kernel
    knobs = sigma, degree, eps, eps if kernel_eps is None else kernel_eps, diagonal
    return _divergence(student, teacher, student_sums, teacher_sums, *kernels, divergence, *knobs)


def affinity_divergence_reference(
    student: Tensor,
    teacher: Tensor,
    student_sums: Tensor,
    teacher_sums: Tensor,
    kernel: AffinityKernel,
    divergence: AffinityDivergence,
    *,
    sigma: float = 1.0,
    degree: float = 1.0,
    eps: float = 0.0,
    kernel_eps: float | None = None,
    diagonal: bool = True,
) -> Tensor:
    """``affinity_divergence`` with both N x N matrices."""
    p, q = (
        affinity_reference(x, kernel, sigma, degree, eps if kernel_eps is None else kernel_eps, diagonal)
        / sums[:, None]
        for x, sums in ((student, student_sums), (teacher, teacher_sums))
    )
    return _DIVERGENCES[divergence](p, q, eps).sum().double()


# ---------------------------------------------------------------- divergences of p (student) and q (teacher) by entry
def _log_ratio(one: Tensor, other: Tensor, eps: float) -> Tensor:
    return ((one + eps) / (other + eps)).log_()


def _tiny(p: Tensor) -> float:
    return torch.finfo(p.dtype).tiny  # 0 log(0 / 0) = 0


_DIVERGENCES: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "kl": lambda p, q, eps: q * _log_ratio(q, p, eps or _tiny(p)),
    "kl_ratio": lambda p, q, eps: q * (eps + q / (p + eps)).log_(),
    "jeffreys": lambda p, q, _: (q - p) * _log_ratio(q, p, _tiny(p)),
    "product": lambda p, q, _: (p * q).square_(),
}


def _kl_slope(p: Tensor, q: Tensor, eps: float, of_teacher: bool) -> Tensor:
    eps = eps or _tiny(p)
    return _log_ratio(q, p, eps) + q / (q + eps) if of_teacher else -q / (p + eps)


def _kl_ratio_slope(p: Tensor, q: Tensor, eps: float, of_teacher: bool) -> Tensor:
    ratio = q / (p + eps)
    share = ratio / (eps + ratio)
    return (eps + ratio).log_() + share if of_teacher else -q * share / (p + eps)


def _jeffreys_slope(p: Tensor, q: Tensor, _: float, of_teacher: bool) -> Tensor:
    own, other = (q, p) if of_teacher else (p, q)
    return _log_ratio(own, other, _tiny(p)) + (own - other) / (own + _tiny(p))


def _product_slope(p: Tensor, q: Tensor, _: float, of_teacher: bool) -> Tensor:
    return 2 * p.square() * q if of_teacher else 2 * p * q.square()


# Derivatives with respect to p, or with the flag to q.
_SLOPES: dict[str, Callable[[Tensor, Tensor, float, bool], Tensor]] = {
    "kl": _kl_slope,
    "kl_ratio": _kl_ratio_slope,
    "jeffreys": _jeffreys_slope,
    "product": _product_slope,
}


# ---------------------------------------------------------------- operators
@operator("affinity_divergence")
def _divergence(
    student: Tensor,
    teacher: Tensor,
    student_sums: Tensor,
    teacher_sums: Tensor,
    kernel: str,
    teacher_kernel: str,
    divergence: str,
    sigma: float,
    degree: float,
    eps: float,
    kernel_eps: float,
    diagonal: bool,
) -> Tensor:
    s = Affinity(student, kernel, sigma, degree, kernel_eps, diagonal)
    t = Affinity(teacher, teacher_kernel, sigma, degree, kernel_eps, diagonal)
    total = torch.zeros((), dtype=torch.float64, device=student.device)
    for rows, columns in tiles(student):
        ours, theirs = s.tile(rows, columns)[0], t.tile(rows, columns)[0]
        for owners, dim in directions(rows, columns):
            p, q = ours / student_sums[owners].unsqueeze(dim), theirs / teacher_sums[owners].unsqueeze(dim)
            total += _DIVERGENCES[divergence](p, q, eps).sum()
    return total


@_divergence.register_fake
def _(student: Tensor, *_: Any) -> Tensor:
    return student.new_empty((), dtype=torch.float64)


@operator("affinity_divergence_backward")
def _pull(
    x: Tensor,
    x_sums: Tensor,
    other: Tensor,
    other_sums: Tensor,
    kernel: str,
    other_kernel: str,
    divergence: str,
    sigma: float,
    degree: float,
    eps: float,
    kernel_eps: float,
    diagonal: bool,
    of_teacher: bool,
) -> tuple[Tensor, Tensor]:
    """Gradients with respect to one side's rows and their sums; ``x`` is the teacher with the flag."""
    beside = Affinity(other, other_kernel, sigma, degree, kernel_eps, diagonal)
    of_sums = torch.zeros_like(x_sums, memory_format=torch.contiguous_format)

    def weights(rows: slice, columns: slice, values: Tensor) -> Tensor:
        total: Tensor | None = None
        others = beside.tile(rows, columns)[0]
        for owners, dim in directions(rows, columns):
            own, norm = values / x_sums[owners].unsqueeze(dim), x_sums[owners].unsqueeze(dim)
            pair = own, others / other_sums[owners].unsqueeze(dim)
            weight = _SLOPES[divergence](*(pair[::-1] if of_teacher else pair), eps, of_teacher).div_(norm)
            of_sums[owners] -= own.mul_(weight).sum(dim=dim)
            total = weight if total is None else total.add_(weight)
        assert total is not None
        return total

    of_x = Affinity(x, kernel, sigma, degree, kernel_eps, diagonal).pull(weights)
    return of_x.to(x.dtype), of_sums


@_pull.register_fake
def _(x: Tensor, x_sums: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    of_x, of_sums = (torch.empty_like(t, memory_format=torch.contiguous_format) for t in (x, x_sums))
    return of_x, of_sums


def _setup(ctx: Any, inputs: tuple, output: Tensor) -> None:
    student, teacher, student_sums, teacher_sums, kernel, teacher_kernel, *ctx.knobs = inputs
    ctx.save_for_backward(student, teacher, student_sums, teacher_sums)
    ctx.kernels = kernel, teacher_kernel


def _backward(ctx: Any, grad: Tensor) -> tuple:
    student, teacher, student_sums, teacher_sums = ctx.saved_tensors
    kernel, teacher_kernel = ctx.kernels
    of_student: list[Tensor | None] = [None, None]
    of_teacher: list[Tensor | None] = [None, None]
    if ctx.needs_input_grad[0] or ctx.needs_input_grad[2]:
        sides = student, student_sums, teacher, teacher_sums, kernel, teacher_kernel
        of_student = [(pull * grad).to(pull.dtype) for pull in _pull(*sides, *ctx.knobs, False)]
    if ctx.needs_input_grad[1] or ctx.needs_input_grad[3]:
        sides = teacher, teacher_sums, student, student_sums, teacher_kernel, kernel
        of_teacher = [(pull * grad).to(pull.dtype) for pull in _pull(*sides, *ctx.knobs, True)]
    return of_student[0], of_teacher[0], of_student[1], of_teacher[1], *(None,) * 8


_divergence.register_autograd(_backward, setup_context=_setup)
