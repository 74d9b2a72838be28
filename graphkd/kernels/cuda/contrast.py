"""Streamed log-sum-exp of InfoNCE: tiles of scores stay in registers, backward recomputes them."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from graphkd.kernels.cuda.common import Compiled, block_size, dot_precision, launch
from graphkd.kernels.cuda.tiles import (
    FEATURES,
    PRECISIONS,
    SLICE,
    load_tile,
    narrowed,
    padded,
    parts,
    product_tile,
)

_TILE = {"ROWS": 128, "COLUMNS": 128, "FEATURES": FEATURES}
_PULL_TILE = {**_TILE, "COLUMNS": 64}  # a second product sums over the columns: more would not fit into registers
_WARPS, _PULL_STAGES = 8, 1


# ---------------------------------------------------------------- forward
@triton.jit
def logsumexp_kernel(
    anchor, candidate, partial, anchors, candidates, width, scale,
    PRECISION: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, FEATURES: tl.constexpr,
):  # fmt: skip
    """Compute, over a part of the candidates, the largest score m = scale a_i . b_j and log sum exp(score - m)."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    part = tl.program_id(1)
    peak = tl.full((ROWS,), float("-inf"), tl.float32)
    total = tl.zeros((ROWS,), tl.float32)
    for start in range(part * COLUMNS, candidates, tl.num_programs(1) * COLUMNS):
        column = start + tl.arange(0, COLUMNS)
        scores = scale * product_tile(anchor, row, anchors, candidate, column, candidates, width, PRECISION, FEATURES)
        scores = tl.where((column < candidates)[None, :], scores, float("-inf"))
        above = tl.maximum(peak, tl.max(scores, 1))
        total = total * tl.exp(peak - above) + tl.sum(tl.exp(scores - above[:, None]), 1)
        peak = above
    to = partial + 2 * (part.to(tl.int64) * anchors + row)
    tl.store(to, peak, mask=row < anchors)
    tl.store(to + 1, tl.log(total), mask=row < anchors)


def product_logsumexp(anchor: Tensor, candidate: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """``graphkd::product_logsumexp``."""
    anchor, candidate = padded(anchor), padded(candidate)
    (rows, width), columns = anchor.shape, candidate.size(0)
    tiles = triton.cdiv(rows, _TILE["ROWS"])
    grid = tiles, parts(tiles, triton.cdiv(columns, _TILE["COLUMNS"]))
    partial = anchor.new_empty(grid[1], rows, 2, dtype=torch.float32)
    sizes, precision = (rows, columns, width, scale), dot_precision(anchor, candidate)
    launch(logsumexp_kernel, grid, anchor, candidate, partial, *sizes, PRECISION=precision, **_TILE, warps=_WARPS)
    norm = partial[0] if grid[1] == 1 else _joined(partial)
    return norm.sum(dim=1), norm


def _joined(partial: Tensor) -> Tensor:
    """Combine the results of all parts of the candidates: (parts, N, 2) -> (N, 2)."""
    peak = partial[:, :, 0].amax(dim=0)
    return torch.stack([peak, (partial[:, :, 0] - peak + partial[:, :, 1]).logsumexp(dim=0)], dim=1)


# ---------------------------------------------------------------- backward
@triton.jit
def pull_kernel(
    x, y, norm, grad, pull, rows, columns, width, scale,
    OF_ANCHOR: tl.constexpr, SLICE: tl.constexpr,
    PRECISION: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, FEATURES: tl.constexpr,
):  # fmt: skip
    """Compute a slice of scale sum_j g exp(scale x_i . y_j - peak - total) y_j, over one part of the rows of y.

    ``norm`` (peak and total) and g are the anchors': of x_i where x is the anchors, of y_j where it is the candidates.
    """
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    feature = tl.program_id(1) * SLICE + tl.arange(0, SLICE)
    part = tl.program_id(2)
    total = tl.zeros((ROWS, SLICE), tl.float32)
    for start in range(part * COLUMNS, columns, tl.num_programs(2) * COLUMNS):
        column = start + tl.arange(0, COLUMNS)
        scores = scale * product_tile(x, row, rows, y, column, columns, width, PRECISION, FEATURES)
        if OF_ANCHOR:
            peak = tl.load(norm + 2 * row.to(tl.int64), mask=row < rows, other=0.0)[:, None]
            spread = tl.load(norm + 2 * row.to(tl.int64) + 1, mask=row < rows, other=0.0)[:, None]
            slope = tl.load(grad + row, mask=row < rows, other=0.0)[:, None]
        else:
            peak = tl.load(norm + 2 * column.to(tl.int64), mask=column < columns, other=0.0)[None, :]
            spread = tl.load(norm + 2 * column.to(tl.int64) + 1, mask=column < columns, other=0.0)[None, :]
            slope = tl.load(grad + column, mask=column < columns, other=0.0)[None, :]
        share = tl.exp(tl.minimum(scores - peak, 0.0) - spread)  # rounding may lift a score above the peak
        weight = tl.where((column < columns)[None, :], slope * share, 0.0)
        # Weights stay in float32: among many candidates they fall below the smallest number of float16.
        tile = load_tile(y, column, columns, feature, width).to(tl.float32)
        total = tl.dot(weight, tile, total, input_precision=PRECISION)
    out = pull + (part.to(tl.int64) * rows + row)[:, None] * width + feature[None, :]
    tl.store(out, scale * total, mask=(row < rows)[:, None] & (feature < width)[None, :])


def product_logsumexp_backward(
    grad: Tensor, anchor: Tensor, candidate: Tensor, norm: Tensor, scale: float
) -> tuple[Tensor, Tensor]:
    """``graphkd::product_logsumexp_backward``; recomputes scores for each side and for each slice of its width."""
    a, b, of_anchors = padded(anchor), padded(candidate), (norm.contiguous(), grad.contiguous(), scale)
    of_anchor = _pull(a, b, *of_anchors, of_anchor=True)
    return narrowed(of_anchor, anchor), narrowed(_pull(b, a, *of_anchors, of_anchor=False), candidate)


def _pull(x: Tensor, y: Tensor, norm: Tensor, grad: Tensor, scale: float, *, of_anchor: bool) -> Tensor:
    (rows, width), columns = x.shape, y.size(0)
    size = block_size(width, SLICE)
    tiles, slices = triton.cdiv(rows, _PULL_TILE["ROWS"]), triton.cdiv(width, size)
    grid = tiles, slices, parts(tiles * slices, triton.cdiv(columns, _PULL_TILE["COLUMNS"]))
    pull = x.new_empty(grid[2], rows, width, dtype=torch.float32)
    launch(
        pull_kernel, grid, x, y, norm, grad, pull, rows, columns, width, scale,
        OF_ANCHOR=of_anchor, SLICE=size, PRECISION=dot_precision(x, y), **_PULL_TILE, warps=_WARPS, stages=_PULL_STAGES,
    )  # fmt: skip
    return pull


COMPILED = [
    compiled
    for dtype, precision in PRECISIONS.items()
    for compiled in (
        Compiled(
            logsumexp_kernel,
            f"*{dtype} *{dtype} *fp32 i32 i32 i32:16 fp32",
            {"PRECISION": precision, **_TILE},
            _WARPS,
        ),
        *(
            Compiled(
                pull_kernel,
                f"*{dtype} *{dtype} *fp32 *fp32 *fp32 i32 i32 i32:16 fp32",
                {"OF_ANCHOR": of_anchor, "SLICE": size, "PRECISION": precision, **_PULL_TILE},
                _WARPS,
                _PULL_STAGES,
            )
            for of_anchor in (True, False)
            for size in (32, 64, SLICE)
        ),
    )
]
