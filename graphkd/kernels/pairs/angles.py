"""Differences between the angles of all triples of rows, from the squared distances of all pairs.

The cosine at corner v of the triangle i v j follows from its sides, (S_iv + S_jv - S_ij) / (2 sqrt(S_iv S_jv)):
O(N^2 d + N^3) time instead of O(N^3 d). Memory is N x N, for one corner; backward recomputes the corners.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from graphkd.kernels.checks import check_rows
from graphkd.kernels.operators import accumulation_dtype, operator, register_symmetric, row_blocks
from graphkd.kernels.pairs.similarity import _prepare, squared_distances

_BLOCK_ELEMENTS = 1 << 20


def angle_divergence(student: Tensor, teacher: Tensor, *, delta: float = 1.0) -> Tensor:
    """Mean Huber loss of the cosines of all angles, (1/N^3) sum_vij H(cos(s_i s_v s_j) - cos(t_i t_v t_j)); scalar.

    H(e) = e^2 / 2 up to ``delta``, linear beyond. student: (N, d_s), teacher: (N, d_t); a side of length 0 has cosine
    0 with all. O(N^3 + N^2 d) time, O(N^2) memory. Where one side of an angle is 10^k times the other, k digits are
    lost. Not twice differentiable.
    """
    check_rows(student=student, teacher=teacher)
    return _angle_divergence(student, teacher, delta)


def angle_divergence_reference(student: Tensor, teacher: Tensor, *, delta: float = 1.0) -> Tensor:
    """``angle_divergence`` with the N x N x d differences, and N x N x N."""
    s, t = (_cosines_reference(x) for x in (student, teacher))
    return torch.nn.functional.huber_loss(s, t, delta=delta)


def _cosines_reference(x: Tensor) -> Tensor:
    sides = torch.nn.functional.normalize(x[None] - x[:, None], dim=2)  # [corner, end]
    return sides @ sides.transpose(1, 2)


class _Corners:
    """Cosines of all angles in one set of rows, a block of corners at a time."""

    def __init__(self, x: Tensor) -> None:
        self.x, norm = _prepare(x, "euclidean")
        self.squared = squared_distances(self.x, norm, slice(None)).fill_diagonal_(0)
        self.inverse = torch.where(self.squared > 0, self.squared.rsqrt(), 0)

    def cosines(self, corners: slice) -> Tensor:
        """Compute the cosines at some corners, (corners, N, N)."""
        sides = self.squared[corners]
        found = sides[:, :, None] + sides[:, None, :]
        return found.sub_(self.squared).mul_(0.5).mul_(self.lengths(corners))

    def lengths(self, corners: slice) -> Tensor:
        """Return one over the product of the lengths of the two sides at a corner, (corners, N, N)."""
        inverse = self.inverse[corners]
        return inverse[:, :, None] * inverse[:, None, :]


def _blocks(x: Tensor) -> Iterator[slice]:
    return row_blocks(x.size(0), x.size(0) ** 2, _BLOCK_ELEMENTS, x.device)


@operator("angle_divergence")
def _angle_divergence(student: Tensor, teacher: Tensor, delta: float) -> Tensor:
    s, t, count = _Corners(student), _Corners(teacher), student.size(0)
    total = torch.zeros((), dtype=torch.float64, device=student.device)
    for corners in _blocks(student):
        error = s.cosines(corners).sub_(t.cosines(corners)).abs_()
        bounded = error.clamp_max(delta)
        total += error.sub_(bounded, alpha=0.5).mul_(bounded).sum(dim=2).double().sum()
    return (total / max(count, 1) ** 3).to(accumulation_dtype(student))


@_angle_divergence.register_fake
def _(student: Tensor, teacher: Tensor, delta: float) -> Tensor:
    return student.new_empty((), dtype=accumulation_dtype(student))


@operator("angle_divergence_backward")
def _angle_pull(student: Tensor, teacher: Tensor, delta: float) -> Tensor:
    """Compute the gradient of the student; by symmetry the teacher's is that of the swapped arguments."""
    s, t, count = _Corners(student), _Corners(teacher), student.size(0)
    weight = torch.zeros_like(s.squared)  # of every squared distance
    for corners in _blocks(student):
        cosines = s.cosines(corners)
        slope = (cosines - t.cosines(corners)).clamp_(-delta, delta)
        cosines.mul_(slope)
        slope.mul_(s.lengths(corners))
        weight.add_(slope.sum(dim=0), alpha=-0.5)  # the side opposite the corner
        weight[corners] += slope.sum(dim=2) - cosines.sum(dim=2) * s.inverse[corners].square()  # the two at the corner
    weight = weight + weight.t()
    pull = weight.sum(dim=1, keepdim=True) * s.x - weight @ s.x
    return pull.mul_(2 / max(count, 1) ** 3).to(student.dtype)


@_angle_pull.register_fake
def _(student: Tensor, teacher: Tensor, delta: float) -> Tensor:
    return torch.empty_like(student, memory_format=torch.contiguous_format)


register_symmetric(_angle_divergence, _angle_pull)
