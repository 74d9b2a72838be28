"""Log-probability of rankings: running log-sum-exp over the places, scanned in log space and carried between tiles."""

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from graphkd.kernels.cuda.common import Compiled, block_size, each_dtype, launch

_ENTRIES = 1024  # of a tile
_PLACES = 512  # of a tile, at most


@triton.jit
def log_add(a, b):
    """Compute log(exp a + exp b), minus infinity where both are."""
    peak = tl.maximum(a, b)
    shift = tl.where(peak == float("-inf"), 0.0, peak)
    return peak + tl.log(1.0 + tl.exp(tl.minimum(a, b) - shift))


@triton.jit
def denominators_kernel(
    scores, rest, values, denominators, lists, places, floor,
    score_row, score_place, rest_row, out_row, out_place,
    LISTS: tl.constexpr, PLACES: tl.constexpr,
):  # fmt: skip
    """Compute, from the last place on, log-sum-exp of the scores left, at least the floor, and the list's value."""
    row = tl.program_id(0).to(tl.int64) * LISTS + tl.arange(0, LISTS)
    left = tl.load(rest + row * rest_row, mask=row < lists, other=0.0).to(tl.float32)
    value = tl.zeros((LISTS,), tl.float32)
    last = (tl.cdiv(places, PLACES) - 1) * PLACES
    for back in range(0, places, PLACES):
        place = (last - back + tl.arange(0, PLACES)).to(tl.int64)
        inside = (row < lists)[:, None] & (place < places)[None, :]
        entries = scores + row[:, None] * score_row + place[None, :] * score_place
        score = tl.load(entries, mask=inside, other=float("-inf")).to(tl.float32)
        ahead = log_add(tl.associative_scan(score, 1, log_add, reverse=True), left[:, None])
        left = tl.max(ahead, 1)  # that of the tile's first place: sums only grow towards it
        ahead = tl.maximum(ahead, floor)
        value += tl.sum(tl.where(inside, score - ahead, 0.0), 1)
        tl.store(denominators + row[:, None] * out_row + place[None, :] * out_place, ahead, mask=inside)
    tl.store(values + row, value, mask=row < lists)


def ranking_log_likelihood(scores: Tensor, rest: Tensor, floor: float) -> tuple[Tensor, Tensor]:
    """``graphkd::ranking_log_likelihood``."""
    denominators = scores.new_empty(scores.shape, dtype=torch.float32)
    values = denominators.new_empty(scores.size(0))
    grid, shape = _shape(scores)
    strides = *scores.stride(), *rest.stride(), *denominators.stride()
    tensors = scores, rest, values, denominators
    launch(denominators_kernel, grid, *tensors, *scores.shape, _log(floor), *strides, **shape)
    return values, denominators


@triton.jit
def shares_kernel(
    scores, rest, denominators, of_scores, of_rest, lists, places, floor,
    score_row, score_place, rest_row, out_row, out_place,
    LISTS: tl.constexpr, PLACES: tl.constexpr,
):  # fmt: skip
    """Compute, from the first place on, 1 - sum_{k <= i} exp(s_i) / D_k, and - sum_k exp(rest) / D_k."""
    row = tl.program_id(0).to(tl.int64) * LISTS + tl.arange(0, LISTS)
    before = tl.full((LISTS,), float("-inf"), tl.float32)
    for start in range(0, places, PLACES):
        place = (start + tl.arange(0, PLACES)).to(tl.int64)
        inside = (row < lists)[:, None] & (place < places)[None, :]
        out = row[:, None] * out_row + place[None, :] * out_place
        denominator = tl.load(denominators + out, mask=inside, other=float("inf"))
        inverse = tl.where(denominator > floor, -denominator, float("-inf"))  # a clamped denominator is a constant
        share = log_add(tl.associative_scan(inverse, 1, log_add), before[:, None])
        before = tl.max(share, 1)  # that of the tile's last place
        entries = scores + row[:, None] * score_row + place[None, :] * score_place
        score = tl.load(entries, mask=inside, other=0.0).to(tl.float32)
        tl.store(of_scores + out, 1.0 - tl.exp(score + share), mask=inside)
    further = tl.load(rest + row * rest_row, mask=row < lists, other=0.0).to(tl.float32)
    tl.store(of_rest + row, -tl.exp(further + before), mask=row < lists)


def ranking_log_likelihood_backward(
    scores: Tensor, rest: Tensor, denominators: Tensor, floor: float
) -> tuple[Tensor, Tensor]:
    """``graphkd::ranking_log_likelihood_backward``."""
    of_scores, of_rest = torch.empty_like(denominators), denominators.new_empty(rest.shape)
    grid, shape = _shape(scores)
    strides = *scores.stride(), *rest.stride(), *of_scores.stride()
    tensors = scores, rest, denominators, of_scores, of_rest
    launch(shares_kernel, grid, *tensors, *scores.shape, _log(floor), *strides, **shape)
    return of_scores, of_rest


def _log(floor: float) -> float:
    return math.log(floor) if floor > 0 else -math.inf


def _shape(scores: Tensor) -> tuple[tuple[int], dict[str, int]]:
    """Return the grid of programs, and the lists and places of a tile."""
    lists, places = scores.shape
    width = block_size(places, _PLACES, smallest=2)
    height = block_size(lists, _ENTRIES // width, smallest=1)
    return (triton.cdiv(lists, height),), {"LISTS": height, "PLACES": width}


COMPILED: list[Compiled] = [
    compiled
    for places in (2, 32, _PLACES)
    for kernel, tensors in ((denominators_kernel, "*? *? *fp32 *fp32"), (shares_kernel, "*? *? *fp32 *fp32 *fp32"))
    for compiled in each_dtype(
        kernel,
        f"{tensors} i32 i32 fp32 i32 i32",
        {"out_place": 1, "score_place": 1, "rest_row": 1, "LISTS": _ENTRIES // places, "PLACES": places},
    )
]
