"""Lengths, directions and correlations of vectors, whose gradients are bounded where there is nothing to compare.

A vector of zeros has no direction and a constant vector no correlation. Here both give 0 with gradient 0, where
x / max(|x|, 1e-12) has a gradient of 1e12. For all other vectors, value and gradient are those of the formulas.
"""

from __future__ import annotations

import torch
from torch import Tensor

from graphkd.kernels.operators import accumulation_dtype

LEAST = 1e-12  # lengths up to this count as 0; torch's normalize does not divide by them either
_ROUNDINGS = 16  # units in the last place by which the entries of a constant may differ


def inverse_norms(x: Tensor, dim: int = -1, *, keepdim: bool = False) -> Tensor:
    """1 / |x| along a dimension, in float32 at least: (..., d) -> (...); 0 with gradient 0 for a vector of zeros.

    d(1 / |x|) = -x dx / |x|^3 has no limit at 0; 0, as SP takes it, is the mean of the slopes on both sides.
    """
    norm = torch.linalg.vector_norm(x.to(accumulation_dtype(x)), dim=dim, keepdim=keepdim)
    return torch.where(norm > LEAST, norm, torch.inf).reciprocal()


def unit_vectors(x: Tensor, dim: int = -1, *, eps: float = 0.0) -> Tensor:
    """Divide vectors along a dimension by their length plus eps, in float32 at least; zeros stay, with gradient 0."""
    x = x.to(accumulation_dtype(x))
    if x.size(dim) == 1 and not eps:  # its sign, with slope 0: the two terms would leave rounding / |x|
        return x.sign() * (x.abs() > LEAST)
    inverse = inverse_norms(x, dim, keepdim=True)
    return x * (inverse / (1 + eps * inverse) if eps else inverse)


def rescaled(x: Tensor, dim: tuple[int, ...]) -> Tensor:
    """Divide numbers by the largest magnitude along some dimensions, taken as a constant, in float32 at least.

    For functions that do not depend on scale: powers then neither overflow nor vanish, and the gradient is the same.
    """
    x = x.to(accumulation_dtype(x))
    if x.numel() == 0:
        return x
    largest = x.detach().abs().amax(dim=dim, keepdim=True)
    return x / torch.where(largest > 0, largest, 1)


def cosines(one: Tensor, other: Tensor, dim: int = -1) -> Tensor:
    """Cosines of pairs of vectors along a dimension: (..., d), (..., d) -> (...); 0 with gradient 0 beside zeros."""
    return (unit_vectors(one, dim) * unit_vectors(other, dim)).sum(dim=dim)


def constants(x: Tensor, dim: int) -> Tensor:
    """Find the vectors along a dimension whose entries are equal up to rounding: (..., d) -> (..., 1) bool."""
    low, high = x.detach().aminmax(dim=dim, keepdim=True)
    rounding = _ROUNDINGS * torch.finfo(x.dtype).eps * torch.maximum(low.abs(), high.abs())
    return (high - low <= rounding) & rounding.isfinite()


def deviations(x: Tensor, dim: int) -> Tensor:
    """Subtract the mean of vectors along a dimension; zeros with gradient 0 where the differences are rounding alone.

    The mean of n equal numbers may be off by some units in the last place; the direction of such differences is noise.
    """
    x = x.to(accumulation_dtype(x))
    apart = x - x.mean(dim=dim, keepdim=True)
    return apart if x.size(dim) == 0 else torch.where(constants(x, dim), 0, apart)


def correlations(one: Tensor, other: Tensor, dim: int, *, eps: float = 0.0) -> Tensor:
    """Pearson's correlations along a dimension, ``eps`` added to the product of both lengths: (..., n) -> (...).

    0 with gradient 0 where either vector is constant, up to rounding.
    """
    (a, long, flat), (b, far, level) = (_apart(x.to(accumulation_dtype(x)), dim) for x in (one, other))
    products = torch.where(flat | level, 0, (a * b).sum(dim=dim))
    return products / (long * far + eps)


def _apart(x: Tensor, dim: int) -> tuple[Tensor, Tensor, Tensor]:
    """Compute deviations from the mean, their length (1 for a constant), and which vectors are constant."""
    apart = x - x.mean(dim=dim, keepdim=True)
    length = torch.linalg.vector_norm(apart, dim=dim)
    flat = length == 0 if x.size(dim) == 0 else constants(x, dim).squeeze(dim) | (length == 0)
    return apart, torch.where(flat, 1, length), flat


def absolute_powers(x: Tensor, power: float) -> Tensor:
    """|x|^power entry by entry; the slope at 0 is set to 0, since it is unbounded for powers below 1."""
    if power >= 1:
        return x.abs().pow(power)
    some = x != 0
    return torch.where(some, x, 1).abs().pow(power) * some
