"""Lengths, directions and correlations of vectors, whose gradients are bounded where there is nothing to compare.

A vector of zeros has no direction and a constant correlates with nothing. Both count as zeros here, with a gradient
of 0, where x / max(|x|, 1e-12) has one of 1e12. Of all other vectors value and gradient are those of the formulas.
"""

from __future__ import annotations

import torch
from torch import Tensor

from graphkd.kernels.operators import accumulation_dtype

LEAST = 1e-12  # a length up to it, by which torch's normalize does not divide either, is 0
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
    if x.size(dim) == 1 and not eps:  # a sign, of slope 0: the two terms of the slope cancel up to rounding over |x|
        return x.sign() * (x.abs() > LEAST)
    inverse = inverse_norms(x, dim, keepdim=True)
    return x * (inverse / (1 + eps * inverse) if eps else inverse)


def rescaled(x: Tensor, dim: tuple[int, ...]) -> Tensor:
    """Divide numbers by the largest of them along some dimensions, which counts as a constant, in float32 at least.

    For what does not see a scale, so that its powers neither overflow nor vanish: the gradient is then the same.
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
    """Find the vectors along a dimension that hold one number, up to rounding: (..., d) -> (..., 1)."""
    low, high = x.detach().aminmax(dim=dim, keepdim=True)
    rounding = _ROUNDINGS * torch.finfo(x.dtype).eps * torch.maximum(low.abs(), high.abs())
    return (high - low <= rounding) & rounding.isfinite()


def deviations(x: Tensor, dim: int) -> Tensor:
    """Subtract the mean of vectors along a dimension; zeros with gradient 0 where the differences are rounding alone.

    A mean of n equal numbers may be off by some units in the last place, whose direction would mean nothing.
    """
    x = x.to(accumulation_dtype(x))
    apart = x - x.mean(dim=dim, keepdim=True)
    return apart if x.size(dim) == 0 else torch.where(constants(x, dim), 0, apart)


def correlations(one: Tensor, other: Tensor, dim: int, *, eps: float = 0.0) -> Tensor:
    """Pearson's correlations along a dimension, ``eps`` beside the product of both lengths: (..., n) -> (...).

    0 with gradient 0 where either is constant, up to rounding.
    """
    (a, long, flat), (b, far, level) = (_apart(x.to(accumulation_dtype(x)), dim) for x in (one, other))
    products = torch.where(flat | level, 0, (a * b).sum(dim=dim))
    return products / (long * far + eps)


def _apart(x: Tensor, dim: int) -> tuple[Tensor, Tensor, Tensor]:
    """Compute deviations from the mean, their length, 1 for a constant, and which are constants."""
    apart = x - x.mean(dim=dim, keepdim=True)
    length = torch.linalg.vector_norm(apart, dim=dim)
    flat = length == 0 if x.size(dim) == 0 else constants(x, dim).squeeze(dim) | (length == 0)
    return apart, torch.where(flat, 1, length), flat


def absolute_powers(x: Tensor, power: float) -> Tensor:
    """|x|^power entry by entry; its slope at 0 is 0, where that of a power below 1 has no bound."""
    if power >= 1:
        return x.abs().pow(power)
    some = x != 0
    return torch.where(some, x, 1).abs().pow(power) * some
