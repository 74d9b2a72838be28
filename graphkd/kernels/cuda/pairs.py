"""Differences between all-pairs similarities: tiles of both matrices are computed and compared in registers.

Distances are sums of squared differences, one feature at a time, so close rows keep their digits; products use the
tensor cores.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor

from graphkd.kernels.cuda.common import Compiled, block_size, launch
from graphkd.kernels.cuda.tiles import FEATURES, SLICE, load_tile, narrowed, padded, parts, product_tile
from graphkd.kernels.pairs.similarity import _prepare

_PRODUCTS = ("dot", "poly")
_TILE = {"ROWS": 64, "COLUMNS": 64, "FEATURES": FEATURES}
_PULL_TILE = {**_TILE, "COLUMNS": 32}  # a second product sums over the columns: more would not fit into registers


@triton.jit
def power(base, DEGREE: tl.constexpr):
    """Base ** degree."""
    result = tl.full(base.shape, 1.0, tl.float32)
    for _ in tl.static_range(DEGREE if DEGREE >= 0 else -DEGREE):
        result *= base
    return result if DEGREE >= 0 else 1.0 / result


@triton.jit
def squared_distance_tile(lines, row, column, rows, width, ROWS: tl.constexpr):
    """Compute |x_i - x_j|^2 for some rows of a matrix given by its columns, which are padded to whole tiles of rows."""
    squared = tl.zeros((row.shape[0], column.shape[0]), tl.float32)
    length = tl.cdiv(rows, ROWS) * ROWS
    for _ in range(width):
        difference = tl.load(lines + row)[:, None] - tl.load(lines + column)[None, :]
        squared += difference * difference
        lines += length
    return squared


@triton.jit
def similarity_tile(
    x, row, column, rows, width, sigma, offset,
    KERNEL: tl.constexpr, DEGREE: tl.constexpr, ROWS: tl.constexpr, FEATURES: tl.constexpr,
):  # fmt: skip
    """Compute the kernel of pairs of rows and its derivative by x_i . x_j, or for distances by |x_i - x_j|^2."""
    if KERNEL == "dot" or KERNEL == "poly":
        value = product_tile(x, row, rows, x, column, rows, width, "tf32x3", FEATURES)
        slope = tl.full(value.shape, 1.0, tl.float32)
        if KERNEL == "poly":
            slope = DEGREE * power(value + offset, DEGREE - 1)
            value = power(value + offset, DEGREE)
    else:
        value = squared_distance_tile(x, row, column, rows, width, ROWS)
        slope = tl.full(value.shape, 1.0, tl.float32)
        if KERNEL == "euclidean":
            value = tl.sqrt(value)
            slope = tl.where(value > 0, 0.5 / tl.where(value > 0, value, 1.0), 0.0)
        elif KERNEL == "rbf":
            value = tl.exp(value / (-2 * sigma))
            slope = value / (-2 * sigma)
    return value, slope


@triton.jit
def divergence_kernel(
    s, t, partial, rows, s_width, t_width, sigma, offset,
    KERNEL: tl.constexpr, DEGREE: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, FEATURES: tl.constexpr,
):  # fmt: skip
    """Sum (k(s_i, s_j) - k(t_i, t_j))^2 by rows over a part of the columns, counting pairs off the diagonal twice."""
    first, part = tl.program_id(0) * ROWS, tl.program_id(1)  # square tiles: each row of tiles has one on the diagonal
    row = first + tl.arange(0, ROWS)
    total = tl.zeros((ROWS,), tl.float32)
    for start in range(first + part * COLUMNS, rows, tl.num_programs(1) * COLUMNS):
        column = start + tl.arange(0, COLUMNS)
        one, _ = similarity_tile(s, row, column, rows, s_width, sigma, offset, KERNEL, DEGREE, ROWS, FEATURES)
        other, _ = similarity_tile(t, row, column, rows, t_width, sigma, offset, KERNEL, DEGREE, ROWS, FEATURES)
        difference = tl.where((column < rows)[None, :], one - other, 0.0)
        share = tl.sum(difference * difference, 1)
        total += tl.where(start == first, share, 2 * share)
    tl.store(partial + part.to(tl.int64) * rows + row, total, mask=row < rows)


def pair_divergence(student: Tensor, teacher: Tensor, kernel: str, sigma: float, degree: int, offset: float) -> Tensor:
    """``graphkd::pair_divergence``; the matrices are symmetric, so half of each is computed."""
    rows = student.size(0)
    (s, s_width), (t, t_width) = (_operand(_prepare(x, kernel)[0], kernel) for x in (student, teacher))
    tiles = triton.cdiv(rows, _TILE["ROWS"])
    grid = tiles, parts(tiles, tiles)
    partial = s.new_empty(grid[1], rows)
    sizes = rows, s_width, t_width, sigma, offset
    launch(divergence_kernel, grid, s, t, partial, *sizes, KERNEL=kernel, DEGREE=degree, **_TILE)
    return (partial.sum(dtype=torch.float64) / max(rows, 1) ** 2).float()


@triton.jit
def pair_pull_kernel(
    s, t, x, pull, rows, s_width, t_width, width, sigma, offset, factor,
    SLICE: tl.constexpr,
    KERNEL: tl.constexpr, DEGREE: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, FEATURES: tl.constexpr,
):  # fmt: skip
    """A slice of the gradient, over one part of the columns: sum_j w_ij x_j, or 2 sum_j w_ij (x_i - x_j)."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    feature = tl.program_id(1) * SLICE + tl.arange(0, SLICE)
    part = tl.program_id(2)
    total = tl.zeros((ROWS, SLICE), tl.float32)
    weights = tl.zeros((ROWS,), tl.float32)
    for start in range(part * COLUMNS, rows, tl.num_programs(2) * COLUMNS):
        column = start + tl.arange(0, COLUMNS)
        other, _ = similarity_tile(t, row, column, rows, t_width, sigma, offset, KERNEL, DEGREE, ROWS, FEATURES)
        one, slope = similarity_tile(s, row, column, rows, s_width, sigma, offset, KERNEL, DEGREE, ROWS, FEATURES)
        weight = tl.where((column < rows)[None, :], (one - other) * slope, 0.0)
        weights += tl.sum(weight, 1)
        total = tl.dot(weight, load_tile(x, column, rows, feature, width), total, input_precision="tf32x3")
    if KERNEL != "dot" and KERNEL != "poly":
        total = 2 * (weights[:, None] * load_tile(x, row, rows, feature, width) - total)
    out = pull + (part.to(tl.int64) * rows + row)[:, None] * width + feature[None, :]
    tl.store(out, factor * total, mask=(row < rows)[:, None] & (feature < width)[None, :])


def pair_divergence_backward(
    student: Tensor, teacher: Tensor, kernel: str, sigma: float, degree: int, offset: float
) -> Tensor:
    """``graphkd::pair_divergence_backward``; recomputes both matrices for each slice of the student's width."""
    wide, other = (_prepare(x, kernel)[0] for x in (student, teacher))
    (s, s_width), (t, t_width), x = _operand(wide, kernel), _operand(other, kernel), padded(wide)
    rows, width = x.shape
    size = block_size(width, SLICE)
    tiles, slices = triton.cdiv(rows, _PULL_TILE["ROWS"]), triton.cdiv(width, size)
    grid = tiles, slices, parts(tiles * slices, triton.cdiv(rows, _PULL_TILE["COLUMNS"]))
    pull = x.new_empty(grid[2], rows, width)
    sizes = rows, s_width, t_width, width, sigma, offset, 4 / max(rows, 1) ** 2
    launch(pair_pull_kernel, grid, s, t, x, pull, *sizes, SLICE=size, KERNEL=kernel, DEGREE=degree, **_PULL_TILE)
    return narrowed(pull, student)


def _operand(x: Tensor, kernel: str) -> tuple[Tensor, int]:
    """Prepare the operand of tiles of similarities, and its width: rows for products, columns for distances."""
    if kernel in _PRODUCTS:
        rows = padded(x)
        return rows, rows.size(1)
    return F.pad(x.t(), (0, -x.size(0) % _TILE["ROWS"])).contiguous(), x.size(1)


COMPILED = [
    compiled
    for kernel in ("dot", "poly", "squared_euclidean", "euclidean", "rbf")
    for width in ["i32:16" if kernel in _PRODUCTS else "i32"]
    for options in [{"KERNEL": kernel, "DEGREE": 2}]
    for compiled in (
        Compiled(divergence_kernel, f"*fp32 *fp32 *fp32 i32 {width} {width} fp32 fp32", {**options, **_TILE}),
        *(
            Compiled(
                pair_pull_kernel,
                f"*fp32 *fp32 *fp32 *fp32 i32 {width} {width} i32:16 fp32 fp32 fp32",
                {"SLICE": size, **options, **_PULL_TILE},
            )
            for size in (32, 64, SLICE)
        ),
    )
]
