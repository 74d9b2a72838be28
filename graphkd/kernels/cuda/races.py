"""Exponential races: find the k-th largest key byte by byte, by counting, then write positions in order."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from graphkd.kernels.cuda.common import Compiled, each_dtype, launch

_BLOCK = 1024  # positions at a time
_WARPS = 8
_NEVER = tl.constexpr(0x007FFFFF)  # the ordered form of minus infinity


@triton.jit
def ordered_keys(log_weights, clock, position, size, weight_position, clock_position):
    """Log w - log E as unsigned integers of the same order; 0, which is below all numbers, beyond the end."""
    weight = tl.load(log_weights + position * weight_position, mask=position < size, other=0.0).to(tl.float32)
    time = tl.load(clock + position * clock_position, mask=position < size, other=1.0).to(tl.float32)
    bits = (weight - tl.log(time)).to(tl.int32, bitcast=True)
    flipped = bits ^ ((bits >> 31) | -2147483648)  # flips all bits of a negative number, the sign of a positive one
    return tl.where(position < size, flipped.to(tl.uint32, bitcast=True), 0)


@triton.jit
def race_kernel(
    log_weights, clock, drawn, size, k, weight_row, weight_position, clock_row, clock_position, BLOCK: tl.constexpr
):
    """Find the positions of one row's k largest keys above minus infinity, ascending."""
    row = tl.program_id(0).to(tl.int64)
    log_weights += row * weight_row
    clock += row * clock_row
    bound = tl.zeros((), tl.uint32)  # leading bytes of the k-th largest key
    wanted = k  # how many of the k largest keys begin with these bytes
    for byte in tl.static_range(4):
        counts = tl.zeros((256,), tl.int32)
        for start in range(0, size, BLOCK):
            position = (start + tl.arange(0, BLOCK)).to(tl.int64)
            key = ordered_keys(log_weights, clock, position, size, weight_position, clock_position) >> (24 - 8 * byte)
            counts += tl.histogram((key & 255).to(tl.int32), 256, mask=(position < size) & ((key >> 8) == bound))
        at_least = tl.cumsum(counts, 0, reverse=True)
        digit = tl.sum((at_least >= wanted).to(tl.int32)) - 1
        wanted -= tl.max(tl.where(at_least < wanted, at_least, 0))
        bound = (bound << 8) | digit.to(tl.uint32)
    placed, ties = 0, 0
    for start in range(0, size, BLOCK):
        position = (start + tl.arange(0, BLOCK)).to(tl.int64)
        key = ordered_keys(log_weights, clock, position, size, weight_position, clock_position)
        tie = (key == bound).to(tl.int32)
        taken = (key > bound) | ((key == bound) & (ties + tl.cumsum(tie, 0) <= wanted))
        taken = (taken & (key > _NEVER)).to(tl.int32)
        place = placed + tl.cumsum(taken, 0) - 1
        tl.store(drawn + row * k + place, position, mask=taken > 0)
        placed += tl.sum(taken)
        ties += tl.sum(tie)


def race_top_k(log_weights: Tensor, clock: Tensor, k: int) -> Tensor:
    """``graphkd::race_top_k``; of equal keys the first positions win, and a row is read five times whatever k is."""
    rows, size = log_weights.shape
    drawn = torch.full((rows, k), size, dtype=torch.int64, device=log_weights.device)
    strides = *log_weights.stride(), *clock.stride()
    launch(race_kernel, (rows if k else 0,), log_weights, clock, drawn, size, k, *strides, BLOCK=_BLOCK, warps=_WARPS)
    return drawn


COMPILED: list[Compiled] = [
    *each_dtype(
        race_kernel,
        "*? *? *i64 i32 i32 i32 i32",
        {"weight_position": 1, "clock_position": 1, "BLOCK": _BLOCK},
        _WARPS,
    )
]
