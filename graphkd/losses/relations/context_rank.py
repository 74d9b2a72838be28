"""LLP's ranking loss: a hinge for every pair of context nodes that the teacher ranks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_same_shape

ENTRIES = 1 << 22  # pairs of scores in memory at a time


def context_rank(student: Tensor, teacher: Tensor, margin: float = 0.1) -> Tensor:
    """Rank each row's scores as the teacher does: (B, L), (B, L) -> scalar.

    The mean over rows and pairs a < b of max(0, m - r (s_a - s_b)), r = 1 where t_a - t_b > m, -1 where it is below
    -m, else 0: such a tie adds the constant m and no gradient. Guo et al. (LLP), ICML 2023, arXiv:2210.05801; their
    code uses torch's ``MarginRankingLoss``. O(B L^2) time in blocks of rows, O(B L) memory: the gradient counts active
    hinges and is computed together with the value. Not twice differentiable.

    Args:
        student: (B, L) scores of L context nodes of B anchors.
        teacher: likewise; no gradient reaches it.
        margin: m, the same for both sides, because the scores of both are probabilities.
    """
    check_same_shape(student, teacher)
    wide = accumulation_dtype(student)
    found: Tensor = _Hinges.apply(student.to(wide), teacher.detach().to(wide), margin)  # type: ignore[no-untyped-call]
    return found


class _Hinges(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, student: Tensor, teacher: Tensor, margin: float) -> Tensor:
        rows, width = student.shape
        pairs = max(rows * width * (width - 1) // 2, 1)
        total, slope = student.new_zeros(()), torch.zeros_like(student)
        step = max(ENTRIES // max(width * width, 1), 1)
        for start in range(0, rows, step):
            s, t = student[start : start + step], teacher[start : start + step]
            apart = t[:, :, None] - t[:, None, :]
            order = (apart > margin).to(s.dtype) - (apart < -margin).to(s.dtype)
            hinge = margin - order * (s[:, :, None] - s[:, None, :])
            total += hinge.clamp_min(0).triu(1).sum()
            slope[start : start + step] = -(order * (hinge >= 0)).sum(dim=2)  # counts both orders of a pair
        ctx.save_for_backward(slope / pairs)
        return total / pairs

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (slope,) = ctx.saved_tensors
        return grad * slope, None, None
