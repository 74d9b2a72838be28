"""Distances of all pairs of rows in tiles: their mean, and how two sets of them differ.

Every pair is computed once (distances are symmetric); no N x N matrix is stored, and backward recomputes the tiles.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from graphkd.kernels.checks import check_matrices, check_rows
from graphkd.kernels.operators import accumulation_dtype, operator
from graphkd.kernels.pairs.similarity import _prepare, squared_distances
from graphkd.kernels.pairs.tiles import gathered, tiles, times

FLOOR = 1e-12  # of squared distances, as in the authors' code of RKD


def mean_distance(x: Tensor, *, squared: bool = False, floor: float = FLOOR) -> Tensor:
    """Mean distance of two different rows, (1 / N (N - 1)) sum_{i != j} |x_i - x_j|: (N, d) -> scalar; 0 for one row.

    Squared distances below ``floor`` count as ``floor`` and have no gradient. ``squared``: the mean of the squares.
    O(N^2 d) time, one tile of memory. Not twice differentiable.
    """
    check_matrices(x=x)
    return _mean_distance(x, squared, floor)


def mean_distance_reference(x: Tensor, *, squared: bool = False, floor: float = FLOOR) -> Tensor:
    """``mean_distance`` with the N x N x d differences built."""
    return _distances_reference(x, squared, floor).sum() / max(x.size(0) * (x.size(0) - 1), 1)


def distance_divergence(
    student: Tensor,
    teacher: Tensor,
    student_scale: Tensor,
    teacher_scale: Tensor,
    *,
    squared: bool = False,
    floor: float = FLOOR,
    delta: float = 1.0,
) -> Tensor:
    """Mean Huber loss of two matrices of scaled distances, (1/N^2) sum_ij H(|s_i - s_j| / m_s - |t_i - t_j| / m_t).

    H(e) = e^2 / 2 up to ``delta``, linear beyond. student: (N, d_s), teacher: (N, d_t), scales m: scalars (0: that
    side's distances count as 0). ``squared`` and ``floor`` as in ``mean_distance``; the diagonal is 0 and counted.
    O(N^2 d) time, one tile of memory. Not twice differentiable.
    """
    check_rows(student=student, teacher=teacher)
    return _distance_divergence(student, teacher, student_scale, teacher_scale, squared, floor, delta)


def distance_divergence_reference(
    student: Tensor,
    teacher: Tensor,
    student_scale: Tensor,
    teacher_scale: Tensor,
    *,
    squared: bool = False,
    floor: float = FLOOR,
    delta: float = 1.0,
) -> Tensor:
    """``distance_divergence`` with the N x N x d differences of both sides built."""
    s, t = (_distances_reference(x, squared, floor) for x in (student, teacher))
    return torch.nn.functional.huber_loss(s / student_scale, t / teacher_scale, delta=delta)


def _distances_reference(x: Tensor, squared: bool, floor: float) -> Tensor:
    found = (x[:, None] - x[None]).square().sum(dim=2).clamp_min(floor)
    found = found if squared else found.sqrt()
    return found * (1 - torch.eye(x.size(0), dtype=x.dtype, device=x.device))


# ---------------------------------------------------------------- tiles
def _distances(side: tuple[Tensor, Tensor], rows: slice, columns: slice, squared: bool, floor: float) -> Tensor:
    found = squared_distances(*side, rows, columns).clamp_min_(floor)
    if not squared:
        found.sqrt_()
    return found.fill_diagonal_(0) if rows == columns else found


def _slope(distances: Tensor, squared: bool, floor: float) -> Tensor:
    """Compute the derivative of a distance with respect to its square."""
    if squared:
        return (distances > floor).to(distances.dtype)
    return torch.where(distances > floor**0.5, 0.5 / distances, 0)


def _inverse(scale: Tensor) -> Tensor:
    return torch.where(scale > 0, 1 / scale, 0).to(accumulation_dtype(scale))


# ---------------------------------------------------------------- their mean
@operator("mean_distance")
def _mean_distance(x: Tensor, squared: bool, floor: float) -> Tensor:
    side, count = _prepare(x, "euclidean"), x.size(0)
    total = torch.zeros((), dtype=torch.float64, device=x.device)
    for rows, columns in tiles(x):
        total += times(rows, columns) * _distances(side, rows, columns, squared, floor).sum(dim=1).double().sum()
    return (total / max(count * (count - 1), 1)).to(side[0].dtype)


@_mean_distance.register_fake
def _(x: Tensor, squared: bool, floor: float) -> Tensor:
    return x.new_empty((), dtype=accumulation_dtype(x))


@operator("mean_distance_backward")
def _mean_pull(x: Tensor, squared: bool, floor: float) -> Tensor:
    side, count = _prepare(x, "euclidean"), x.size(0)
    slopes = ((*tile, _slope(_distances(side, *tile, squared, floor), squared, floor)) for tile in tiles(x))
    return gathered(side[0], slopes, apart=True).mul_(4 / max(count * (count - 1), 1)).to(x.dtype)


@_mean_pull.register_fake
def _(x: Tensor, squared: bool, floor: float) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def _mean_setup(ctx: Any, inputs: tuple, output: Tensor) -> None:
    ctx.save_for_backward(inputs[0])
    ctx.options = inputs[1:]


def _mean_backward(ctx: Any, grad: Tensor) -> tuple:
    (x,) = ctx.saved_tensors
    return (grad * _mean_pull(x, *ctx.options)).to(x.dtype), None, None


_mean_distance.register_autograd(_mean_backward, setup_context=_mean_setup)


# ---------------------------------------------------------------- how two sets of them differ
@operator("distance_divergence")
def _distance_divergence(
    student: Tensor,
    teacher: Tensor,
    student_scale: Tensor,
    teacher_scale: Tensor,
    squared: bool,
    floor: float,
    delta: float,
) -> Tensor:
    s, t = _prepare(student, "euclidean"), _prepare(teacher, "euclidean")
    by_s, by_t = _inverse(student_scale), _inverse(teacher_scale)
    total = torch.zeros((), dtype=torch.float64, device=student.device)
    for rows, columns in tiles(student):
        error = _distances(s, rows, columns, squared, floor).mul_(by_s)
        error.sub_(_distances(t, rows, columns, squared, floor).mul_(by_t)).abs_()
        bounded = error.clamp_max(delta)
        total += times(rows, columns) * error.sub_(bounded, alpha=0.5).mul_(bounded).sum(dim=1).double().sum()
    return (total / max(student.size(0), 1) ** 2).to(accumulation_dtype(student))


@_distance_divergence.register_fake
def _(student: Tensor, *others: Any) -> Tensor:
    return student.new_empty((), dtype=accumulation_dtype(student))


@operator("distance_divergence_backward")
def _divergence_pull(
    student: Tensor,
    teacher: Tensor,
    student_scale: Tensor,
    teacher_scale: Tensor,
    squared: bool,
    floor: float,
    delta: float,
) -> tuple[Tensor, Tensor]:
    """Compute the gradients of the student and its scale; by symmetry the teacher's are those of swapped arguments."""
    s, t = _prepare(student, "euclidean"), _prepare(teacher, "euclidean")
    by_s, by_t = _inverse(student_scale), _inverse(teacher_scale)
    total = torch.zeros((), dtype=torch.float64, device=student.device)

    def weighted() -> Iterator[tuple[slice, slice, Tensor]]:
        for tile in tiles(student):
            distances = _distances(s, *tile, squared, floor)
            error = distances * by_s - _distances(t, *tile, squared, floor).mul_(by_t)
            error.clamp_(-delta, delta)
            total.add_(times(*tile) * (error * distances).sum(dim=1).double().sum())
            yield *tile, error.mul_(_slope(distances, squared, floor))

    pull, pairs = gathered(s[0], weighted(), apart=True), max(student.size(0), 1) ** 2
    of_scale = total * by_s.double().square() / -pairs
    return (pull * (4 * by_s / pairs)).to(student.dtype), of_scale.to(student_scale.dtype)


@_divergence_pull.register_fake
def _(student: Tensor, teacher: Tensor, student_scale: Tensor, *others: Any) -> tuple[Tensor, Tensor]:
    return torch.empty_like(student, memory_format=torch.contiguous_format), torch.empty_like(student_scale)


def _divergence_setup(ctx: Any, inputs: tuple, output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:4])
    ctx.options = inputs[4:]


def _divergence_backward(ctx: Any, grad: Tensor) -> tuple:
    student, teacher, student_scale, teacher_scale = ctx.saved_tensors
    needs = ctx.needs_input_grad
    of_student = of_teacher = (None, None)
    if needs[0] or needs[2]:
        found = _divergence_pull(student, teacher, student_scale, teacher_scale, *ctx.options)
        of_student = tuple((grad * part).to(part.dtype) for part in found)
    if needs[1] or needs[3]:
        found = _divergence_pull(teacher, student, teacher_scale, student_scale, *ctx.options)
        of_teacher = tuple((grad * part).to(part.dtype) for part in found)
    return of_student[0], of_teacher[0], of_student[1], of_teacher[1], None, None, None


_distance_divergence.register_autograd(_divergence_backward, setup_context=_divergence_setup)
