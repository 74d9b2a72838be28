"""Differences between all-pairs similarities that have no low-rank form, streamed in tiles.

Memory is O(N d) and one tile instead of O(N^2) or O(N^2 d). If the teacher needs no gradient, value and gradient are
computed in one pass; otherwise backward recomputes the tiles.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from graphkd.kernels.checks import check_rows
from graphkd.kernels.operators import (
    CHUNK_ELEMENTS,
    CLOSE,
    accumulation_dtype,
    operator,
    register_known_gradient,
    row_blocks,
    wants_gradient,
)
from graphkd.kernels.pairs.tiles import gathered, tiles, times

PairKernel = Literal["dot", "poly", "squared_euclidean", "euclidean", "rbf"]
_PRODUCTS = ("dot", "poly")


def pair_divergence(
    student: Tensor, teacher: Tensor, kernel: PairKernel, *, sigma: float = 1.0, degree: int = 2, offset: float = 0.0
) -> Tensor:
    """Mean squared difference of two pairwise kernels, (1/N^2) sum_ij (k(s_i, s_j) - k(t_i, t_j))^2; scalar.

    student: (N, d_s), teacher: (N, d_t); diagonal included. Kernels: ``dot`` x.y, ``poly`` (x.y + offset)^degree,
    ``squared_euclidean`` |x - y|^2, ``euclidean`` |x - y| (gradient 0 at 0), ``rbf`` exp(-|x - y|^2 / (2 sigma)).
    O(N^2 d) time. Not twice differentiable. Raises ValueError for an unknown kernel.
    """
    if kernel not in get_args(PairKernel):
        raise ValueError(f"'kernel' must be one of {get_args(PairKernel)}, got {kernel!r}")
    check_rows(student=student, teacher=teacher)
    if wants_gradient(student) and not wants_gradient(teacher) and not student.is_cuda:
        value: Tensor = _pair_divergence_and_pull(student, teacher, kernel, sigma, degree, offset)[0]
        return value
    return _pair_divergence(student, teacher, kernel, sigma, degree, offset)


def pair_divergence_reference(
    student: Tensor, teacher: Tensor, kernel: PairKernel, *, sigma: float = 1.0, degree: int = 2, offset: float = 0.0
) -> Tensor:
    """``pair_divergence`` with both N x N (for distances N x N x d) matrices built."""
    s, t = (_pairwise_reference(x, kernel, sigma, degree, offset) for x in (student, teacher))
    return (s - t).square().mean()


def _pairwise_reference(x: Tensor, kernel: str, sigma: float, degree: int, offset: float) -> Tensor:
    if kernel in ("dot", "poly"):
        return x @ x.t() if kernel == "dot" else (x @ x.t() + offset) ** degree
    squared = (x[:, None] - x[None]).square().sum(dim=2)
    if kernel == "euclidean":
        return torch.where(squared > 0, squared, 1).sqrt() * (squared > 0)
    return squared if kernel == "squared_euclidean" else (-squared / (2 * sigma)).exp()


def _prepare(x: Tensor, kernel: str) -> tuple[Tensor, Tensor]:
    x = x.to(accumulation_dtype(x))
    if kernel not in _PRODUCTS:
        x = x - x.mean(dim=0)  # distances do not change, cancellation shrinks
    return x, x.square().sum(dim=1)


def squared_distances(x: Tensor, norm: Tensor, rows: slice, columns: slice = slice(None)) -> Tensor:
    """|x_i - x_j|^2 of some rows i and j, ``norm`` the squared norms of all; near ones from their difference."""
    one, other = x[rows], x[columns]
    scale = norm[rows, None] + norm[columns]
    squared = torch.addmm(scale, one, other.t(), alpha=-2)
    beyond = scale.mul_(-CLOSE).add_(squared)  # below 0: near
    if rows == columns:  # every row is near itself
        squared.fill_diagonal_(0)
        beyond.fill_diagonal_(0)
    if squared.numel() == 0 or beyond.amin() >= 0:  # cheaper than a comparison, which takes longer than a root
        return squared
    near = (beyond < 0).nonzero()
    for part in row_blocks(near.size(0), x.size(1), CHUNK_ELEMENTS, x.device):
        i, j = near[part].unbind(1)
        squared[i, j] = (one[i] - other[j]).square().sum(dim=1)
    return squared


def _values(
    x: Tensor, norm: Tensor, rows: slice, columns: slice, kernel: str, sigma: float, degree: int, offset: float
) -> Tensor:
    if kernel in _PRODUCTS:
        dots = x[rows] @ x[columns].t()
        return dots if kernel == "dot" else (dots + offset) ** degree
    squared = squared_distances(x, norm, rows, columns)
    if kernel == "euclidean":
        return squared.sqrt_()
    return squared if kernel == "squared_euclidean" else squared.div_(-2 * sigma).exp_()


def _slope(
    x: Tensor, rows: slice, columns: slice, values: Tensor, kernel: str, sigma: float, degree: int, offset: float
) -> Tensor | float:
    """Compute the derivative of the kernel with respect to x.y, or to |x - y|^2 for the kernels of a distance."""
    if kernel == "poly":
        return degree * (x[rows] @ x[columns].t() + offset) ** (degree - 1)
    if kernel == "euclidean":
        return torch.where(values > 0, 0.5 / values, 0)
    return values / (-2 * sigma) if kernel == "rbf" else 1.0


@operator("pair_divergence")
def _pair_divergence(student: Tensor, teacher: Tensor, kernel: str, sigma: float, degree: int, offset: float) -> Tensor:
    s, t = _prepare(student, kernel), _prepare(teacher, kernel)
    total = torch.zeros((), dtype=torch.float64, device=student.device)
    for tile in tiles(student):
        difference = _values(*s, *tile, kernel, sigma, degree, offset)
        difference -= _values(*t, *tile, kernel, sigma, degree, offset)
        total += times(*tile) * difference.square_().sum(dim=1).double().sum()
    return (total / max(student.size(0), 1) ** 2).to(accumulation_dtype(student))


@_pair_divergence.register_fake
def _(student: Tensor, teacher: Tensor, kernel: str, sigma: float, degree: int, offset: float) -> Tensor:
    return student.new_empty((), dtype=accumulation_dtype(student))


@operator("pair_divergence_backward")
def _pair_pull(student: Tensor, teacher: Tensor, kernel: str, sigma: float, degree: int, offset: float) -> Tensor:
    """Compute the gradient of the student; by symmetry the teacher's is that of the swapped arguments."""
    return _value_and_pull(student, teacher, kernel, sigma, degree, offset)[1]


@operator("pair_divergence_and_pull")
def _pair_divergence_and_pull(
    student: Tensor, teacher: Tensor, kernel: str, sigma: float, degree: int, offset: float
) -> tuple[Tensor, Tensor]:
    return _value_and_pull(student, teacher, kernel, sigma, degree, offset)


def _value_and_pull(
    student: Tensor, teacher: Tensor, kernel: str, sigma: float, degree: int, offset: float
) -> tuple[Tensor, Tensor]:
    s, t = _prepare(student, kernel), _prepare(teacher, kernel)
    total = torch.zeros((), dtype=torch.float64, device=student.device)

    def weighted() -> Iterator[tuple[slice, slice, Tensor]]:
        for tile in tiles(student):
            values = _values(*s, *tile, kernel, sigma, degree, offset)
            slope = _slope(s[0], *tile, values, kernel, sigma, degree, offset)
            difference = values.sub_(_values(*t, *tile, kernel, sigma, degree, offset))
            total.add_(times(*tile) * difference.square().sum(dim=1).double().sum())
            yield *tile, difference.mul_(slope)

    apart, pairs = kernel not in _PRODUCTS, max(student.size(0), 1) ** 2
    pull = gathered(s[0], weighted(), apart=apart).mul_((8 if apart else 4) / pairs).to(student.dtype)
    return (total / pairs).to(accumulation_dtype(student)), pull


@_pair_divergence_and_pull.register_fake
def _(student: Tensor, teacher: Tensor, kernel: str, sigma: float, degree: int, offset: float) -> tuple[Tensor, Tensor]:
    value = student.new_empty((), dtype=accumulation_dtype(student))
    return value, torch.empty_like(student, memory_format=torch.contiguous_format)


register_known_gradient(_pair_divergence_and_pull)


@_pair_pull.register_fake
def _(student: Tensor, teacher: Tensor, kernel: str, sigma: float, degree: int, offset: float) -> Tensor:
    return torch.empty_like(student, memory_format=torch.contiguous_format)


def _pair_setup(ctx: Any, inputs: tuple, output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:2])
    ctx.options = inputs[2:]


def _pair_backward(ctx: Any, grad: Tensor) -> tuple:
    student, teacher = ctx.saved_tensors
    grads = [
        grad * _pair_pull(one, other, *ctx.options) if needed else None
        for one, other, needed in (
            (student, teacher, ctx.needs_input_grad[0]),
            (teacher, student, ctx.needs_input_grad[1]),
        )
    ]
    return *grads, None, None, None, None


_pair_divergence.register_autograd(_pair_backward, setup_context=_pair_setup)
