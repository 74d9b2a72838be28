"""Difference of two sets of distances, each over its mean: value and gradient at once, from stored distances."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from graphkd.kernels.checks import check_rows
from graphkd.kernels.operators import accumulation_dtype, operator, register_known_gradient, wants_gradient
from graphkd.kernels.pairs.distances import (
    FLOOR,
    _distances,
    _inverse,
    distance_divergence,
    distance_divergence_reference,
    mean_distance,
    mean_distance_reference,
)
from graphkd.kernels.pairs.similarity import _prepare
from graphkd.kernels.pairs.tiles import fit_in_memory, gathered, tiles, times

Tiles = tuple[Tensor, ...]


def scaled_distances(x: Tensor, scale: Tensor, *, squared: bool = False, floor: float = FLOOR) -> Tiles:
    """Divide all pairs' distances by a scale, for ``known`` of ``relative_distance_divergence``; empty above 64 MB.

    (N, d) -> the tiles of the upper triangle, N^2 / 2 numbers without a gradient.
    """
    if not fit_in_memory(x):
        return ()
    with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
        return tuple(_scaled(x, scale, squared, floor))


def relative_distance_divergence(
    student: Tensor,
    teacher: Tensor,
    teacher_scale: Tensor,
    known: Tiles = (),
    *,
    squared: bool = False,
    floor: float = FLOOR,
    delta: float = 1.0,
) -> Tensor:
    """``distance_divergence`` with the student's ``mean_distance`` as its scale: (N, d_s), (N, d_t), () -> scalar.

    ``known``: the teacher's ``scaled_distances``, if any. Up to 64 MB of distances, and if the teacher needs no
    gradient, the student's distances are computed once for value and gradient, with N^2 numbers stored meanwhile.
    Otherwise tiles are recomputed for the mean, the value and both gradients. Not twice differentiable.
    """
    check_rows(student=student, teacher=teacher)
    if not fit_in_memory(student) or wants_gradient(teacher) or wants_gradient(teacher_scale):
        scale = mean_distance(student, squared=squared, floor=floor)
        return distance_divergence(student, teacher, scale, teacher_scale, squared=squared, floor=floor, delta=delta)
    options = squared, floor, delta, wants_gradient(student)
    value: Tensor = _relative_divergence(student, teacher, teacher_scale, list(known), *options)[0]
    return value


def relative_distance_divergence_reference(
    student: Tensor,
    teacher: Tensor,
    teacher_scale: Tensor,
    *,
    squared: bool = False,
    floor: float = FLOOR,
    delta: float = 1.0,
) -> Tensor:
    """``relative_distance_divergence`` with the N x N x d differences of both sides built."""
    scale = mean_distance_reference(student, squared=squared, floor=floor)
    scale = torch.where(scale > 0, scale, 1)  # one row alone
    sides = student, teacher, scale, teacher_scale
    return distance_divergence_reference(*sides, squared=squared, floor=floor, delta=delta)


# ---------------------------------------------------------------- the operator
def _scaled(x: Tensor, scale: Tensor, squared: bool, floor: float) -> Iterator[Tensor]:
    side, by = _prepare(x, "euclidean"), _inverse(scale)
    return (_distances(side, *tile, squared, floor).mul_(by) for tile in tiles(x))


def _sum(found: Tensor) -> Tensor:
    return found.sum(dim=1).double().sum()


@operator("relative_distance_divergence")
def _relative_divergence(
    student: Tensor,
    teacher: Tensor,
    teacher_scale: Tensor,
    known: list[Tensor],
    squared: bool,
    floor: float,
    delta: float,
    wanted: bool,
) -> tuple[Tensor, Tensor]:
    """Compute the value, and if wanted its gradient with respect to the student.

    With e = D / m - T and h = e within +-delta: dJ/dD = (h / m + b) / N^2, where b = -sum h D / (m^2 N (N - 1)) comes
    through the mean m.
    """
    side, count = _prepare(student, "euclidean"), student.size(0)
    others = max(count * (count - 1), 1)
    value, total, moment = torch.zeros(3, dtype=torch.float64, device=student.device)
    distances, bounded = [], []
    for tile in tiles(student):
        distances.append(_distances(side, *tile, squared, floor))
        total += times(*tile) * _sum(distances[-1])
    by = _inverse((total / others).to(side[0].dtype))
    targets = known or _scaled(teacher, teacher_scale, squared, floor)
    for tile, found, target in zip(tiles(student), distances, targets, strict=True):
        error = (found * by).sub_(target)
        within = error.clamp(-delta, delta)
        value += times(*tile) * _sum(error.sub_(within, alpha=0.5).mul_(within))
        if wanted:
            moment += times(*tile) * _sum(torch.mul(within, found, out=error))
            bounded.append(within)
    value = (value / max(count, 1) ** 2).to(side[0].dtype)
    if not wanted:
        return value, student.new_empty(0)
    through_mean = moment * by.double().square() / -others
    weighted = (
        (*tile, _weigh(weight.mul_(by).add_(through_mean), found, squared, floor))
        for tile, found, weight in zip(tiles(student), distances, bounded, strict=True)
    )
    return value, gathered(side[0], weighted, apart=True).mul_(4 / max(count, 1) ** 2).to(student.dtype)


def _weigh(weight: Tensor, distances: Tensor, squared: bool, floor: float) -> Tensor:
    """Multiply weights by the derivative of each distance with respect to its square; overwrites both arguments."""
    if squared:
        return weight.mul_(distances > floor)
    return weight.div_(torch.threshold_(distances, floor**0.5, torch.inf)).mul_(0.5)


@_relative_divergence.register_fake
def _(
    student: Tensor,
    teacher: Tensor,
    teacher_scale: Tensor,
    known: list[Tensor],
    squared: bool,
    floor: float,
    delta: float,
    wanted: bool,
) -> tuple[Tensor, Tensor]:
    pull = torch.empty_like(student, memory_format=torch.contiguous_format) if wanted else student.new_empty(0)
    return student.new_empty((), dtype=accumulation_dtype(student)), pull


register_known_gradient(_relative_divergence)
