"""Positive kernels of all pairs of rows and their row sums, in tiles and never N x N.

A kernel is symmetric: a tile of the upper triangle serves both directions, (i, j) and (j, i), so that a pass costs half
the products of all pairs. Memory is O(N d) and one tile; backward computes the tiles again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from graphkd.kernels.checks import check_matrices, check_vectors
from graphkd.kernels.operators import accumulation_dtype, operator
from graphkd.kernels.pairs.similarity import squared_distances

AffinityKernel = Literal["dot", "cosine", "exponential", "rbf", "student_t", "match"]
_TILE = {"cpu": 1 << 10, "cuda": 1 << 12}  # rows, and columns; smaller ones suffer where threads have to wait


def affinity_sums(
    x: Tensor,
    kernel: AffinityKernel,
    *,
    labels: Tensor | None = None,
    sigma: float = 1.0,
    degree: float = 1.0,
    eps: float = 0.0,
    diagonal: bool = True,
) -> Tensor:
    """Row sums of a pairwise kernel, sum_j k(x_i, x_j), with ``labels`` over the j of i's label: (N, d) -> (N,).

    Kernels: ``dot`` x.y; ``cosine`` (1 + x.y) / 2 of rows that are unit vectors already; with D^2 = |x - y|^2 + eps,
    ``exponential`` exp(-D / sigma) and ``student_t`` 1 / (1 + (D / sigma)^degree); ``rbf`` exp(-|x - y|^2 / (2 sigma));
    ``match`` 1 where rows (N, 1) are equal. Without ``diagonal`` j = i does not count. Products without labels take
    O(N d) time, the others O(N^2 d). Not twice differentiable.
    """
    check_kernel(kernel)
    check_matrices(x=x)
    if labels is not None:
        check_vectors(x.size(0), labels=labels)
    if kernel in ("dot", "cosine") and labels is None:
        wide = x.to(accumulation_dtype(x))
        dots, count = (wide * wide.sum(dim=0)).sum(dim=1), x.size(0)  # no product that autocast would narrow
        if not diagonal:
            dots, count = dots - wide.square().sum(dim=1), count - 1
        return dots if kernel == "dot" else (dots + count) / 2
    return _sums(x, labels, kernel, sigma, degree, eps, diagonal)


def affinity_sums_reference(
    x: Tensor,
    kernel: AffinityKernel,
    *,
    labels: Tensor | None = None,
    sigma: float = 1.0,
    degree: float = 1.0,
    eps: float = 0.0,
    diagonal: bool = True,
) -> Tensor:
    """``affinity_sums`` with the N x N matrix."""
    values = affinity_reference(x, kernel, sigma, degree, eps, diagonal)
    return (values if labels is None else values * (labels[:, None] == labels)).sum(dim=1)


def affinity_reference(
    x: Tensor, kernel: AffinityKernel, sigma: float, degree: float, eps: float, diagonal: bool
) -> Tensor:
    """All pairs, (N, d) -> (N, N), from differences of rows."""
    if kernel in ("dot", "cosine"):
        values = x @ x.t() if kernel == "dot" else (x @ x.t() + 1) / 2
    else:
        squared = (x[:, None] - x).square().sum(dim=2)
        values = {
            "exponential": lambda: (-(squared + eps).sqrt() / sigma).exp(),
            "student_t": lambda: 1 / (1 + ((squared + eps).sqrt() / sigma) ** degree),
            "rbf": lambda: (-squared / (2 * sigma)).exp(),
            "match": lambda: (squared == 0).to(x.dtype),
        }[kernel]()
    return values if diagonal else values * (1 - torch.eye(x.size(0), dtype=x.dtype, device=x.device))


def check_kernel(kernel: str) -> None:
    """Raise ValueError for an unknown kernel."""
    if kernel not in get_args(AffinityKernel):
        raise ValueError(f"'kernel' must be one of {get_args(AffinityKernel)}, got {kernel!r}")


# ---------------------------------------------------------------- tiles
class Affinity:
    """A kernel on the rows of a matrix, tile by tile."""

    def __init__(self, x: Tensor, kernel: str, sigma: float, degree: float, eps: float, diagonal: bool) -> None:
        self.of_distance = kernel in ("exponential", "student_t", "rbf")
        self.x = x.to(accumulation_dtype(x)) if kernel != "match" else x
        if self.of_distance:
            self.x = self.x - self.x.mean(dim=0)  # distances do not change, cancellation shrinks
            self.norm = self.x.square().sum(dim=1)
        self.kernel, self.sigma, self.degree, self.eps, self.diagonal = kernel, sigma, degree, eps, diagonal

    def tile(self, rows: slice, columns: slice) -> tuple[Tensor, Tensor]:
        """Kernel values, and what ``slope`` needs with them."""
        values, distance = self._all_pairs(rows, columns)
        if not self.diagonal and rows == columns:
            values.fill_diagonal_(0)
        return values, distance

    def _all_pairs(self, rows: slice, columns: slice) -> tuple[Tensor, Tensor]:
        one, other = self.x[rows], self.x[columns]
        if not self.of_distance:
            values = one == other.t() if self.kernel == "match" else one @ other.t()
            return (values.add_(1).div_(2).clamp_min_(0) if self.kernel == "cosine" else values), values
        squared = squared_distances(self.x, self.norm, rows, columns)
        if self.kernel == "rbf":
            return squared.div_(-2 * self.sigma).exp_(), squared
        distance = squared.add_(self.eps).sqrt_()
        if self.kernel == "exponential":
            return (distance / -self.sigma).exp_(), distance
        return (distance / self.sigma).pow_(self.degree).add_(1).reciprocal_(), distance

    def slope(self, values: Tensor, distance: Tensor) -> Tensor | float:
        """Derivative with respect to x.y, or of the kernel's logarithm, which does not underflow, to |x - y|^2."""
        if self.kernel in ("dot", "cosine"):
            return 1.0 if self.kernel == "dot" else 0.5
        if self.kernel == "rbf":
            return -1 / (2 * self.sigma)
        if self.kernel == "exponential":
            slope = distance.mul(-2 * self.sigma).reciprocal_()
        else:
            power = (distance / self.sigma).pow_(self.degree)
            slope = power.mul_(-self.degree / 2).mul_(values).div_(distance.square())
        # Equal rows pull at nothing, however steep the kernel is there.
        return slope.masked_fill_(distance == distance.new_tensor(self.eps).sqrt(), 0)

    def pull(self, weights: Callable[[slice, slice, Tensor], Tensor]) -> Tensor:
        """Gradient with respect to ``x`` from ``weights`` of a tile, both directions added up.

        They are derivatives with respect to the kernel, or for a kernel of a distance to its logarithm.
        """
        pull, degree = torch.zeros_like(self.x), self.x.new_zeros(self.x.size(0))
        for rows, columns in tiles(self.x):
            values, distance = self.tile(rows, columns)
            weight = weights(rows, columns, values) * self.slope(values, distance)
            if rows == columns and (self.of_distance or not self.diagonal):  # a distance of 0 to itself, always
                weight.fill_diagonal_(0)
            pull[rows] += weight @ self.x[columns]
            pull[columns] += weight.t() @ self.x[rows]
            if self.of_distance:
                degree[rows] += weight.sum(dim=1)
                degree[columns] += weight.sum(dim=0)
        return (degree[:, None] * self.x).sub_(pull).mul_(2) if self.of_distance else pull


def tiles(x: Tensor) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of the tiles of the upper triangle."""
    count, edge = x.size(0), _TILE.get(x.device.type, _TILE["cuda"])
    slices = [slice(start, min(start + edge, count)) for start in range(0, count, edge)]
    return ((rows, columns) for number, rows in enumerate(slices) for columns in slices[number:])


def directions(rows: slice, columns: slice) -> Iterator[tuple[slice, int]]:
    """Whose row sums divide a tile, and the dimension to sum over for these rows: i's, and for (j, i) j's."""
    yield rows, 1
    if rows != columns:
        yield columns, 0


# ---------------------------------------------------------------- operators
@operator("affinity_sums")
def _sums(
    x: Tensor, labels: Tensor | None, kernel: str, sigma: float, degree: float, eps: float, diagonal: bool
) -> Tensor:
    affinity = Affinity(x, kernel, sigma, degree, eps, diagonal)
    sums = x.new_zeros(x.size(0), dtype=accumulation_dtype(x))
    for rows, columns in tiles(x):
        values = _masked(affinity.tile(rows, columns)[0], labels, rows, columns)
        for owners, dim in directions(rows, columns):
            sums[owners] += values.sum(dim=dim)
    return sums


@_sums.register_fake
def _(x: Tensor, labels: Tensor | None, kernel: str, sigma: float, degree: float, eps: float, diagonal: bool) -> Tensor:
    return x.new_empty(x.size(0), dtype=accumulation_dtype(x))


def _masked(values: Tensor, labels: Tensor | None, rows: slice, columns: slice) -> Tensor:
    return values if labels is None else values.mul_(labels[rows, None] == labels[columns])


@operator("affinity_sums_backward")
def _sums_pull(
    x: Tensor,
    grad: Tensor,
    labels: Tensor | None,
    kernel: str,
    sigma: float,
    degree: float,
    eps: float,
    diagonal: bool,
) -> Tensor:
    def weights(rows: slice, columns: slice, values: Tensor) -> Tensor:
        both = grad[rows, None] + grad[columns] if rows != columns else grad[rows, None].expand_as(values).clone()
        return _masked(both.mul_(values) if affinity.of_distance else both, labels, rows, columns)

    affinity = Affinity(x, kernel, sigma, degree, eps, diagonal)
    return affinity.pull(weights).to(x.dtype)


@_sums_pull.register_fake
def _(x: Tensor, *_: Any) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def _sums_setup(ctx: Any, inputs: tuple, output: Tensor) -> None:
    x, labels, *ctx.knobs = inputs
    ctx.save_for_backward(x, labels)


def _sums_backward(ctx: Any, grad: Tensor) -> tuple:
    x, labels = ctx.saved_tensors
    return _sums_pull(x, grad, labels, *ctx.knobs), *(None,) * 6


_sums.register_autograd(_sums_backward, setup_context=_sums_setup)
