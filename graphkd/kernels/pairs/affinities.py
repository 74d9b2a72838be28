"""Positive kernels of all pairs of rows and their row sums, in tiles and never N x N.

A kernel is symmetric: a tile of the upper triangle serves both directions, (i, j) and (j, i), so that a pass costs half
the products of all pairs. Memory is O(N d) and one tile; backward computes the tiles again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from graphkd.kernels.checks import check_matrices, check_vectors
from graphkd.kernels.operators import CHUNK_ELEMENTS, CLOSE, accumulation_dtype, operator, row_blocks
from graphkd.kernels.pairs.similarity import squared_distances
from graphkd.kernels.pairs.tiles import directions, gathered, tiles

AffinityKernel = Literal["dot", "cosine", "exponential", "rbf", "student_t", "match"]


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
    """Row sums of a pairwise kernel, sum_j k(x_i, x_j), with ``labels`` over j of the same label: (N, d) -> (N,).

    Kernels: ``dot`` x.y; ``cosine`` (1 + x.y) / 2 of rows that are unit vectors already; with D^2 = |x - y|^2 + eps,
    ``exponential`` exp(-D / sigma) and ``student_t`` 1 / (1 + (D / sigma)^degree); ``rbf`` exp(-|x - y|^2 / (2 sigma));
    ``match`` 1 where rows (N, 1) are equal. Without ``diagonal`` j = i does not count. ``dot`` and ``cosine`` without
    labels take O(N d) time, all else O(N^2 d). Not twice differentiable. Raises ValueError for an unknown kernel.
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
    """Kernel on the rows of a matrix, tile by tile.

    dtype: of the tiles, by default that of the rows, float32 at least. Near x.y = -1, where (1 + x.y) / 2 cancels,
    cosines of float64 rows keep their digits in narrower tiles too.
    """

    def __init__(
        self,
        x: Tensor,
        kernel: str,
        sigma: float,
        degree: float,
        eps: float,
        diagonal: bool,
        dtype: torch.dtype | None = None,
    ) -> None:
        self.of_distance = kernel in ("exponential", "student_t", "rbf")
        self.exact = x
        self.x = x.to(dtype or accumulation_dtype(x)) if kernel != "match" else x
        if self.of_distance:
            self.x = self.x - self.x.mean(dim=0)  # distances do not change, cancellation shrinks
            self.norm = self.x.square().sum(dim=1)
        self.kernel, self.sigma, self.degree, self.eps, self.diagonal = kernel, sigma, degree, eps, diagonal

    def tile(self, rows: slice, columns: slice) -> tuple[Tensor, Tensor]:
        """Compute kernel values, and what ``slope`` needs with them."""
        values, distance = self._all_pairs(rows, columns)
        if not self.diagonal and rows == columns:
            values.fill_diagonal_(0)
        return values, distance

    def _all_pairs(self, rows: slice, columns: slice) -> tuple[Tensor, Tensor]:
        one, other = self.x[rows], self.x[columns]
        if not self.of_distance:
            if self.kernel == "cosine":
                values = self._cosines(rows, columns)
            else:
                values = one == other.t() if self.kernel == "match" else one @ other.t()
            return values, values
        squared = squared_distances(self.x, self.norm, rows, columns)
        if self.kernel == "rbf":
            return squared.div_(-2 * self.sigma).exp_(), squared
        distance = squared.add_(self.eps).sqrt_()
        if self.kernel == "exponential":
            return (distance / -self.sigma).exp_(), distance
        return (self._power(distance) + 1).reciprocal_(), distance

    def _cosines(self, rows: slice, columns: slice) -> Tensor:
        one, other = self.x[rows], self.x[columns]
        values = torch.addmm(one.new_tensor(0.5), one, other.t(), alpha=0.5).clamp_min_(0)
        if self.exact.dtype != torch.float64 or values.dtype == torch.float64:
            return values
        if rows == columns:
            values.diagonal().copy_((self.exact[rows].square().sum(dim=1) + 1) / 2)  # as exact as the row sums
        if values.amin() < CLOSE:
            pairs = (values < CLOSE).nonzero()
            for part in row_blocks(pairs.size(0), one.size(1), CHUNK_ELEMENTS, one.device):
                i, j = pairs[part].unbind(1)
                dots = (self.exact[rows][i] * self.exact[columns][j]).sum(dim=1)
                values[i, j] = ((dots + 1) / 2).clamp_min_(0).to(values.dtype)
        return values

    def _power(self, distance: Tensor) -> Tensor:
        """Compute (D / sigma)^degree; return the distance itself where both are 1."""
        scaled = distance if self.sigma == 1 else distance / self.sigma
        return scaled if self.degree == 1 else scaled.pow(self.degree)

    def slope(self, values: Tensor, distance: Tensor) -> Tensor | float:
        """Return d k / d(x.y), or for kernels of a distance d log k / d(|x - y|^2), which cannot underflow."""
        if self.kernel in ("dot", "cosine"):
            return 1.0 if self.kernel == "dot" else 0.5
        if self.kernel == "rbf":
            return -1 / (2 * self.sigma)
        if self.kernel == "exponential":
            slope = distance.mul(-2 * self.sigma).reciprocal_()
        elif self.degree == 1:
            slope = (values / distance).mul_(-0.5 / self.sigma)
        else:
            slope = self._power(distance).mul_(-self.degree / 2).mul_(values).div_(distance.square())
        # Equal rows have gradient 0, however steep the kernel is there.
        return slope.masked_fill_(distance == distance.new_tensor(self.eps).sqrt(), 0)

    def steepness(self, values: Tensor, distance: Tensor) -> Tensor | float:
        """Return the derivative of the kernel with respect to x.y or |x - y|^2; it may underflow."""
        slope = self.slope(values, distance)
        return slope * values if self.of_distance else slope

    def pull(self, weights: Callable[[slice, slice, Tensor], Tensor]) -> Tensor:
        """Compute the gradient with respect to ``x`` from ``weights`` of a tile, both directions summed.

        Weights are derivatives with respect to the kernel; for a kernel of a distance, to its logarithm.
        """

        def weighted() -> Iterator[tuple[slice, slice, Tensor]]:
            for rows, columns in tiles(self.x):
                values, distance = self.tile(rows, columns)
                weight = weights(rows, columns, values) * self.slope(values, distance)
                yield rows, columns, weight + weight.t() if rows == columns else weight

        return self.gathered(weighted())

    def gathered(self, weighted: Iterable[tuple[slice, slice, Tensor]]) -> Tensor:
        """Compute the gradient of ``x`` from derivatives with respect to x.y or |x - y|^2 of unordered pairs."""

        def of_others() -> Iterator[tuple[slice, slice, Tensor]]:
            for rows, columns, weight in weighted:
                if rows == columns and (self.of_distance or not self.diagonal):  # always 0 apart
                    weight.fill_diagonal_(0)
                yield rows, columns, weight

        return gathered(self.x, of_others(), apart=self.of_distance).mul_(2 if self.of_distance else 1)


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
    x, labels, *ctx.options = inputs
    ctx.save_for_backward(x, labels)


def _sums_backward(ctx: Any, grad: Tensor) -> tuple:
    x, labels = ctx.saved_tensors
    return _sums_pull(x, grad, labels, *ctx.options), *(None,) * 6


_sums.register_autograd(_sums_backward, setup_context=_sums_setup)
