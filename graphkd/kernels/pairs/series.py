"""Differences between all-pairs power series of inner products, in the cheapest exact form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from graphkd.kernels.checks import check_rows
from graphkd.kernels.operators import (
    accumulation_dtype,
    operator,
    register_known_gradient,
    register_symmetric,
    wants_gradient,
)
from graphkd.kernels.pairs.gram import gram_distance, grams, polynomial_features
from graphkd.kernels.pairs.tiles import gathered, tiles, times

_MOST_FEATURES = 1 << 26  # quadratic ones of all rows of both sides: 256 MB in float32


def series_divergence(student: Tensor, teacher: Tensor, coefficients: Sequence[float]) -> Tensor:
    """Mean squared difference of two pairwise series, (1/N^2) sum_ij (f(s_i . s_j) - f(t_i . t_j))^2; scalar.

    f(x) = sum_p c_p x^p, whose constant c_0 makes no difference. student: (N, d_s), teacher: (N, d_t). Linear f uses
    Gram matrices, O(N d^2) time; quadratic f those of the d^2 / 2 products of columns, where cheaper than all pairs.
    Otherwise all pairs in tiles: O(N^2 d) time, one tile of memory. Not twice differentiable.
    """
    check_rows(student=student, teacher=teacher)
    _, linear, *higher = [*coefficients, 0.0, 0.0][: max(len(coefficients), 2)]
    if not any(higher):
        return _mean(gram_distance(*grams(student, teacher)), student) * linear**2
    square, offset = higher[0], linear / (2 * higher[0]) if higher[0] else -1.0
    if any(higher[1:]) or offset < 0 or not _features_pay(student, teacher):
        return _in_tiles(student, teacher, [0.0, linear, *higher])
    # c_1 x + c_2 x^2 = c_2 (x + offset)^2 and a constant
    s, t = (polynomial_features(x, offset) for x in (student, teacher))
    return _mean(gram_distance(*grams(s, t)), student) * square**2


def series_divergence_reference(student: Tensor, teacher: Tensor, coefficients: Sequence[float]) -> Tensor:
    """``series_divergence`` with both N x N matrices."""
    s, t = (x @ x.t() for x in (student, teacher))
    return torch.stack([c * (s**p - t**p) for p, c in enumerate(coefficients)]).sum(dim=0).square().mean()


def _mean(total: Tensor, x: Tensor) -> Tensor:
    return (total / max(x.size(0), 1) ** 2).to(accumulation_dtype(x))


def _features_pay(student: Tensor, teacher: Tensor) -> bool:
    """Tell whether Gram matrices of quadratic features take fewer products than all pairs, and fit in memory."""
    rows, widths = student.size(0), (student.size(1), teacher.size(1))
    s, t = (width * (width + 1) // 2 for width in widths)
    return s**2 + t**2 + s * t < rows * sum(widths) // 2 and rows * (s + t) <= _MOST_FEATURES


# ---------------------------------------------------------------- in tiles
def _in_tiles(student: Tensor, teacher: Tensor, coefficients: list[float]) -> Tensor:
    if wants_gradient(student) and not wants_gradient(teacher):  # value and gradient in one pass
        value: Tensor = _series_divergence_and_pull(student, teacher, coefficients)[0]
        return value
    return _series_divergence(student, teacher, coefficients)


def _values(x: Tensor, coefficients: list[float]) -> Tensor:
    found = torch.full_like(x, coefficients[-1])
    for c in reversed(coefficients[:-1]):
        found.mul_(x).add_(c)
    return found


@operator("series_divergence")
def _series_divergence(student: Tensor, teacher: Tensor, coefficients: list[float]) -> Tensor:
    s, t = (x.to(accumulation_dtype(x)) for x in (student, teacher))
    total = torch.zeros((), dtype=torch.float64, device=s.device)
    for rows, columns in tiles(s):
        one, other = (_values(x[rows] @ x[columns].t(), coefficients) for x in (s, t))
        total += times(rows, columns) * one.sub_(other).square_().sum(dim=1).double().sum()
    return _mean(total, student)


@_series_divergence.register_fake
def _(student: Tensor, teacher: Tensor, coefficients: list[float]) -> Tensor:
    return student.new_empty((), dtype=accumulation_dtype(student))


@operator("series_divergence_backward")
def _series_pull(student: Tensor, teacher: Tensor, coefficients: list[float]) -> Tensor:
    """Compute the gradient of the student; by symmetry the teacher's is that of the swapped arguments."""
    return _value_and_pull(student, teacher, coefficients)[1]


@operator("series_divergence_and_pull")
def _series_divergence_and_pull(student: Tensor, teacher: Tensor, coefficients: list[float]) -> tuple[Tensor, Tensor]:
    return _value_and_pull(student, teacher, coefficients)


def _value_and_pull(student: Tensor, teacher: Tensor, coefficients: list[float]) -> tuple[Tensor, Tensor]:
    s, t = (x.to(accumulation_dtype(x)) for x in (student, teacher))
    slopes = [p * c for p, c in enumerate(coefficients)][1:]
    total = torch.zeros((), dtype=torch.float64, device=s.device)

    def weighted() -> Iterator[tuple[slice, slice, Tensor]]:
        for rows, columns in tiles(s):
            products = s[rows] @ s[columns].t()
            weight = _values(products, coefficients).sub_(_values(t[rows] @ t[columns].t(), coefficients))
            total.add_(times(rows, columns) * weight.square().sum(dim=1).double().sum())
            yield rows, columns, weight.mul_(_values(products, slopes))

    pull = gathered(s, weighted(), apart=False).mul_(4 / max(s.size(0), 1) ** 2).to(student.dtype)
    return _mean(total, student), pull


@_series_divergence_and_pull.register_fake
def _(student: Tensor, teacher: Tensor, coefficients: list[float]) -> tuple[Tensor, Tensor]:
    value = student.new_empty((), dtype=accumulation_dtype(student))
    return value, torch.empty_like(student, memory_format=torch.contiguous_format)


register_known_gradient(_series_divergence_and_pull)


@_series_pull.register_fake
def _(student: Tensor, teacher: Tensor, coefficients: list[float]) -> Tensor:
    return torch.empty_like(student, memory_format=torch.contiguous_format)


register_symmetric(_series_divergence, _series_pull)
