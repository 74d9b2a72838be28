"""Squared differences of the inner products of all pairs of rows, with their gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphkd.kernels.functions import differentiable_once
from graphkd.kernels.operators import row_blocks, wants_gradient

_PAIRS = 2**17  # pairs at a time: they fit into the cache of a core


def pair_distance(s: Tensor, t: Tensor, *, positive_only: bool) -> Tensor:
    """Sum over ordered pairs of rows of (s_a s_b - t_a t_b)^2: (..., n, d_s), (..., n, d_t) -> scalar.

    ``positive_only``: only over pairs with t_a t_b > 0. O(n^2 (d_s + d_t) / 2) time, O(n (d_s + d_t)) memory: half of
    the symmetric products, some rows at a time, with the gradient of ``s``. Where ``t`` requires a gradient, memory is
    n x n.
    """
    if wants_gradient(t):
        return pair_distance_reference(s, t, positive_only=positive_only)
    with torch.autocast(s.device.type, enabled=False):
        distance: Tensor = _PairDistance.apply(s, t, positive_only)  # type: ignore[no-untyped-call]
    return distance


def pair_distance_reference(s: Tensor, t: Tensor, *, positive_only: bool) -> Tensor:
    """Compute ``pair_distance`` by n x n matrices."""
    wanted = t @ t.mT
    gap = s @ s.mT - wanted
    return (gap * (wanted > 0) if positive_only else gap).square().sum()


class _PairDistance(torch.autograd.Function):
    """Compute the gradient together with the value; for s_a it is 4 sum_b gap_ab s_b."""

    @staticmethod
    def forward(ctx: Any, s: Tensor, t: Tensor, positive_only: bool) -> Tensor:
        total, across = s.new_zeros(()), s.mT.contiguous()
        pull = torch.zeros_like(across)  # features by rows: narrow products with few rows, not few columns, are fast
        for rows in row_blocks(s.size(-2), s[..., 0].numel(), _PAIRS, s.device):
            first, count = rows.start, rows.stop - rows.start
            gap = _gaps(s[..., rows, :], across[..., first:], t[..., rows, :], t[..., first:, :].mT, positive_only)
            own, others = gap[..., :count], gap[..., count:]  # each pair's gap also counts for its other row
            total += own.square().sum() + 2 * others.square().sum()
            pull[..., rows] += across[..., first:] @ gap.mT
            if others.numel():
                pull[..., rows.stop :] += across[..., rows] @ others
        ctx.save_for_backward(pull, s)
        return total

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        pull, _ = ctx.saved_tensors
        return (4 * grad * pull).mT, None, None


def _gaps(s: Tensor, s_others: Tensor, t: Tensor, t_others: Tensor, positive_only: bool) -> Tensor:
    """Subtract products, 0 where that of ``t`` is not positive: (..., k, d), (..., d, m) -> (..., k, m)."""
    wanted = t @ t_others
    gap = s @ s_others - wanted
    return torch.ops.aten.threshold_backward(gap, wanted, 0) if positive_only else gap
