"""Exponential races: sampling without replacement as the k first of N clocks."""

from __future__ import annotations

import torch
from torch import Tensor

from graphkd.kernels.checks import check_matrices
from graphkd.kernels.operators import accumulation_dtype, operator


def race_top_k(log_weights: Tensor, clock: Tensor, k: int) -> Tensor:
    """Find the k positions of every row that win a race, the largest log w - log E: (R, N), (R, N) -> (R, k) int64.

    ``clock`` holds E. Positions ascend. With independent E ~ Exp(1) they are distributed as sampling one after the
    other in proportion to the remaining weights (Efraimidis and Spirakis, 2006). A log-weight of minus infinity never
    wins: a row with fewer than k other positions is padded with N, which is no position. No gradient. O(R N).
    Raises ValueError for shapes that differ and for k outside 0 to N.
    """
    check_matrices(log_weights=log_weights)
    if log_weights.shape != clock.shape:
        raise ValueError(f"'clock' must have the shape of 'log_weights', {_shape(log_weights)}, got {_shape(clock)}")
    if not 0 <= k <= log_weights.size(1):
        raise ValueError(f"'k' must be from 0 to {log_weights.size(1)}, the number of positions, got {k}")
    return _race_top_k(log_weights.detach(), clock.detach(), k)


def race_top_k_reference(log_weights: Tensor, clock: Tensor, k: int) -> Tensor:
    """``race_top_k``, a row at a time: clocks of rate w ring after E / w, in the order of w / E."""
    drawn = []
    for weights, times in zip(log_weights.tolist(), clock.log().tolist(), strict=True):
        keys = [weight - time for weight, time in zip(weights, times, strict=True)]
        order = sorted((j for j, key in enumerate(keys) if key > -torch.inf), key=lambda j: -keys[j])
        drawn.append((sorted(order[:k]) + [len(keys)] * k)[:k])
    return torch.tensor(drawn, dtype=torch.int64, device=clock.device).reshape(clock.size(0), k)


def _shape(x: Tensor) -> tuple[int, ...]:
    return tuple(x.shape)


@operator("race_top_k")
def _race_top_k(log_weights: Tensor, clock: Tensor, k: int) -> Tensor:
    wide = accumulation_dtype(log_weights)
    best = (log_weights - clock.to(wide).log()).topk(k, dim=1, sorted=False)
    never = best.values == -torch.inf
    return best.indices.masked_fill(never, log_weights.size(1)).sort(dim=1).values


@_race_top_k.register_fake
def _(log_weights: Tensor, clock: Tensor, k: int) -> Tensor:
    return log_weights.new_empty(log_weights.size(0), k, dtype=torch.int64)
