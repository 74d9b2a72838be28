"""Divergences between two sets of pairwise probabilities, summed over all pairs in tiles and never N x N."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from graphkd.kernels.checks import check_rows, check_vectors
from graphkd.kernels.operators import accumulation_dtype, operator
from graphkd.kernels.pairs.affinities import Affinity, AffinityKernel, affinity_reference, check_kernel
from graphkd.kernels.pairs.tiles import directions, tiles

AffinityDivergence = Literal["kl", "kl_ratio", "jeffreys", "product"]
_FLOOR = torch.finfo(torch.float32).tiny  # of probabilities: 0 log(0 / 0) = 0
_LEAST_SUM = 1e-30  # whose inverse float32 has room for, times a logarithm of a probability
_ROUNDINGS = 4  # units in the last place by which the cosine of opposite rows may differ from -1


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
    (q - p)(log q - log p); ``product`` (p q)^2. Kernels and options as in ``affinity_sums``; ``teacher_kernel``
    defaults to ``kernel``, and ``kernel_eps``, added to squared distances, to ``eps``. Tiles have the dtype of the
    sums; float64 rows beside narrower sums keep the digits of cosines near -1. O(N^2 d) time. Not twice differentiable.
    Raises ValueError for an unknown kernel or divergence.

    Where ``eps`` is 0, and for ``jeffreys``, 1e-38 is added to probabilities in logarithms, in any dtype. A row has
    probabilities of 0 if its sum is below 1e-30 or, for cosines, within rounding of 0. A kernel of exactly 0 has
    gradient 0, although log p is unbounded there: it comes from opposite unit rows, where a cosine is least and has
    slope 0, or from a distance at which exp underflows.
    """
    check_kernel(kernel)
    if divergence not in get_args(AffinityDivergence):
        raise ValueError(f"'divergence' must be one of {get_args(AffinityDivergence)}, got {divergence!r}")
    check_rows(student=student, teacher=teacher)
    check_vectors(student.size(0), student_sums=student_sums, teacher_sums=teacher_sums)
    kernels = kernel, teacher_kernel or kernel
    options = sigma, degree, eps, eps if kernel_eps is None else kernel_eps, diagonal
    return _divergence(student, teacher, student_sums, teacher_sums, *kernels, divergence, *options)


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
        * _inverse(sums, x, kernel)[:, None]
        for x, sums in ((student, student_sums), (teacher, teacher_sums))
    )
    return _DIVERGENCES[divergence](p, q, eps).sum().double()


# ---------------------------------------------------------------- divergences of p (student) and q (teacher) by entry
def _log_ratio(one: Tensor, other: Tensor, eps: float) -> Tensor:
    return ((one + eps) / (other + eps)).log_()


def _inverse(sums: Tensor, x: Tensor, kernel: str) -> Tensor:
    """Compute 1 over row sums; 0 where all kernels are 0, up to the rounding of N cosines of -1."""
    least = _LEAST_SUM
    if kernel == "cosine":
        least = _ROUNDINGS * torch.finfo(accumulation_dtype(x)).eps * sums.size(0)
    return torch.where(sums > least, sums, torch.inf).reciprocal()


_DIVERGENCES: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "kl": lambda p, q, eps: q * _log_ratio(q, p, eps or _FLOOR),
    "kl_ratio": lambda p, q, eps: q * ((eps or _FLOOR) + q / (p + (eps or _FLOOR))).log_(),
    "jeffreys": lambda p, q, _: (q - p) * _log_ratio(q, p, _FLOOR),
    "product": lambda p, q, _: (p * q).square_(),
}


def _kl_slope(p: Tensor, q: Tensor, eps: float, of_teacher: bool) -> Tensor:
    eps = eps or _FLOOR
    return _log_ratio(q, p, eps) + q / (q + eps) if of_teacher else -q / (p + eps)


def _kl_ratio_slope(p: Tensor, q: Tensor, eps: float, of_teacher: bool) -> Tensor:
    eps = eps or _FLOOR
    ratio = q / (p + eps)
    share = ratio / (eps + ratio)
    return (eps + ratio).log_() + share if of_teacher else -q * share / (p + eps)


def _jeffreys_slope(p: Tensor, q: Tensor, _: float, of_teacher: bool) -> Tensor:
    own, other = (q, p) if of_teacher else (p, q)
    return _log_ratio(own, other, _FLOOR) + (own - other) / (own + _FLOOR)


def _product_slope(p: Tensor, q: Tensor, _: float, of_teacher: bool) -> Tensor:
    return 2 * p.square() * q if of_teacher else 2 * p * q.square()


# Derivatives with respect to p; with ``of_teacher``, to q.
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
    wide = accumulation_dtype(student_sums)
    s = Affinity(student, kernel, sigma, degree, kernel_eps, diagonal, wide)
    t = Affinity(teacher, teacher_kernel, sigma, degree, kernel_eps, diagonal, wide)
    by_s, by_t = _inverse(student_sums, student, kernel), _inverse(teacher_sums, teacher, teacher_kernel)
    total = torch.zeros((), dtype=torch.float64, device=student.device)
    for rows, columns in tiles(student):
        ours, theirs = s.tile(rows, columns)[0], t.tile(rows, columns)[0]
        for owners, dim in directions(rows, columns):
            p, q = ours * by_s[owners].unsqueeze(dim), theirs * by_t[owners].unsqueeze(dim)
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
    """Compute the gradients of one side's rows and of their sums; with ``of_teacher`` ``x`` is the teacher."""
    wide = accumulation_dtype(x_sums)
    beside = Affinity(other, other_kernel, sigma, degree, kernel_eps, diagonal, wide)
    of_sums = torch.zeros_like(x_sums, memory_format=torch.contiguous_format)
    by_own, by_other = _inverse(x_sums, x, kernel), _inverse(other_sums, other, other_kernel)

    def weights(rows: slice, columns: slice, values: Tensor) -> Tensor:
        total: Tensor | None = None
        others = beside.tile(rows, columns)[0]
        for owners, dim in directions(rows, columns):
            inverse = by_own[owners].unsqueeze(dim)
            own = values * inverse
            pair = own, others * by_other[owners].unsqueeze(dim)
            weight = _SLOPES[divergence](*(pair[::-1] if of_teacher else pair), eps, of_teacher)
            weight = weight.masked_fill_(own == 0, 0)
            relative = own.mul_(weight)
            of_sums[owners] -= relative.sum(dim=dim) * by_own[owners]
            weight = relative if affinity.of_distance else weight.mul_(inverse)
            total = weight if total is None else total.add_(weight)
        assert total is not None
        return total

    affinity = Affinity(x, kernel, sigma, degree, kernel_eps, diagonal, wide)
    return affinity.pull(weights).to(x.dtype), of_sums


@_pull.register_fake
def _(x: Tensor, x_sums: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    of_x, of_sums = (torch.empty_like(t, memory_format=torch.contiguous_format) for t in (x, x_sums))
    return of_x, of_sums


def _setup(ctx: Any, inputs: tuple, output: Tensor) -> None:
    student, teacher, student_sums, teacher_sums, kernel, teacher_kernel, *ctx.options = inputs
    ctx.save_for_backward(student, teacher, student_sums, teacher_sums)
    ctx.kernels = kernel, teacher_kernel


def _backward(ctx: Any, grad: Tensor) -> tuple:
    student, teacher, student_sums, teacher_sums = ctx.saved_tensors
    kernel, teacher_kernel = ctx.kernels
    of_student: list[Tensor | None] = [None, None]
    of_teacher: list[Tensor | None] = [None, None]
    if ctx.needs_input_grad[0] or ctx.needs_input_grad[2]:
        sides = student, student_sums, teacher, teacher_sums, kernel, teacher_kernel
        of_student = [(pull * grad).to(pull.dtype) for pull in _pull(*sides, *ctx.options, False)]
    if ctx.needs_input_grad[1] or ctx.needs_input_grad[3]:
        sides = teacher, teacher_sums, student, student_sums, teacher_kernel, kernel
        of_teacher = [(pull * grad).to(pull.dtype) for pull in _pull(*sides, *ctx.options, True)]
    return of_student[0], of_teacher[0], of_student[1], of_teacher[1], *(None,) * 8


_divergence.register_autograd(_backward, setup_context=_setup)
