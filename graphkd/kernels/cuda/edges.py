"""Triton bodies of products, distances and sums over edges.

Values of edges are computed in blocks of edges, whatever rows they belong to; sums over a row's edges in its chunks, in
an order that depends on the graph alone. No atomics: the same inputs give the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from graphkd.kernels.cuda.chunks import LENGTH, row_chunks
from graphkd.kernels.cuda.common import Compiled, block_size, each_dtype, launch

EDGES = 16  # of a tile of any edges
_ROW_EDGES = 8  # of a tile of one row: many rows are short
LARGEST_WIDTH = 128  # of a tile
_SLOTS = 16  # combined at a time


# ---------------------------------------------------------------- values of edges
@triton.jit
def pair_terms(a, b, KIND: tl.constexpr):
    """Compute the term of a coordinate in the value of the edge between rows a and b."""
    if KIND == "dot":
        terms = a * b
    elif KIND == "squared":
        terms = (a - b) * (a - b)
    else:  # "l1"
        terms = tl.abs(a - b)
    return terms


@triton.jit
def edge_block(target, source, edges, EDGES: tl.constexpr):
    """Return the edges of a program: their numbers, which of them exist, their targets and sources, int64."""
    edge = tl.program_id(0) * EDGES + tl.arange(0, EDGES)
    live = edge < edges
    i = tl.load(target + edge, mask=live, other=0).to(tl.int64)
    j = tl.load(source + edge, mask=live, other=0).to(tl.int64)
    return edge, live, i, j


@triton.jit
def pair_values_of(
    x, y, i, j, live, width, x_row, x_column, y_row, y_column,
    KIND: tl.constexpr, EDGES: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """sum_k terms(x[i, k], y[j, k]) of a block of edges between rows i and j (EDGES,), int64; float32."""
    own, other = i[:, None] * x_row, j[:, None] * y_row
    total = tl.zeros((EDGES, WIDTH), tl.float32)
    for first in range(0, width, WIDTH):
        column = first + tl.arange(0, WIDTH)[None, :]
        inside = live[:, None] & (column < width)
        a = tl.load(x + own + column * x_column, mask=inside, other=0.0).to(tl.float32)
        b = tl.load(y + other + column * y_column, mask=inside, other=0.0).to(tl.float32)
        total += pair_terms(a, b, KIND)
    return tl.sum(total, axis=1)


@triton.jit
def edge_values_kernel(
    x, y, target, source, out, edges, width, x_row, x_column, y_row, y_column,
    KIND: tl.constexpr, EDGES: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """u_e = sum_k terms(x[target_e, k], y[source_e, k]); a block of edges a program."""
    edge, live, i, j = edge_block(target, source, edges, EDGES)
    values = pair_values_of(x, y, i, j, live, width, x_row, x_column, y_row, y_column, KIND, EDGES, WIDTH)
    tl.store(out + edge, values, mask=live)


def edge_dot(x: Tensor, y: Tensor, *layout: Tensor) -> Tensor:
    """``graphkd::edge_dot``."""
    return _edge_values("dot", x, y, layout)


def edge_squared_distance(x: Tensor, *layout: Tensor) -> Tensor:
    """``graphkd::edge_squared_distance``, from differences: nothing cancels, so nothing is computed twice."""
    return _edge_values("squared", x, x, layout)


def edge_l1_distance(x: Tensor, *layout: Tensor) -> Tensor:
    """``graphkd::edge_l1_distance``."""
    return _edge_values("l1", x, x, layout)


def _edge_values(kind: str, x: Tensor, y: Tensor, layout: tuple[Tensor, ...]) -> Tensor:
    _, source, target, *_ = layout
    values = torch.empty(source.size(0), dtype=torch.float32, device=x.device)
    sizes = (source.size(0), x.size(1), *x.stride(), *y.stride())
    grid, width = (triton.cdiv(source.size(0), EDGES),), block_size(x.size(1), LARGEST_WIDTH)
    shape = {"EDGES": EDGES, "WIDTH": width, "warps": 2 * tile_warps(width)}  # two tiles are in registers at once
    launch(edge_values_kernel, grid, x, y, target, source, values, *sizes, KIND=kind, **shape)
    return values


def tile_warps(width: int, edges: int = EDGES) -> int:
    """Choose the warps for a tile of edges: 32 entries a lane keep enough loads in flight and spill no register."""
    return max(1, edges * width // 1024)


# ---------------------------------------------------------------- sums over the edges of a row
@triton.jit
def store_sums(to, sums, inside, ADD: tl.constexpr):
    """Write sums, or with ADD add them to the stored values."""
    if ADD:
        sums += tl.load(to, mask=inside, other=0.0)
    tl.store(to, sums.to(to.dtype.element_ty), mask=inside)


@triton.jit
def row_sums_kernel(
    out, partial, x, y, values, index, order, similarity, inverse_norm, row, start, slot, ptr,
    width, x_row, x_column, y_row, y_column,
    KIND: tl.constexpr, ORDERED: tl.constexpr, ADD: tl.constexpr, LENGTH: tl.constexpr,
    EDGES: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """out_i (+)= sum_e v_e message(x_i, y[index_e]); a chunk of a row and a block of columns a program.

    KIND, with n = 1 / norm, 0 of a zero row: "product" y; "difference" 2 (x - y); "sign" sign(x - y); "cosine"
    n_x n_y y - z n_x^2 x, the derivative of the cosine z by x.
    """
    chunk = tl.program_id(0)
    i = tl.load(row + chunk)
    begin = tl.load(start + chunk)
    end = tl.minimum(begin + LENGTH, tl.load(ptr + i + 1))
    column = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)[None, :]
    inside = column < width
    total = tl.zeros((EDGES, WIDTH), tl.float32)
    along = tl.zeros((EDGES, 1), tl.float32)  # of x_i itself
    if KIND != "product":
        own = tl.load(x + i.to(tl.int64) * x_row + column * x_column, mask=inside, other=0.0).to(tl.float32)
    if KIND == "cosine":
        own_inverse = tl.load(inverse_norm + i)
    for first in range(begin, end, EDGES):
        edge = (first + tl.arange(0, EDGES))[:, None]
        live = edge < end
        place = edge
        if ORDERED:
            place = tl.load(order + edge, mask=live, other=0)
        value = tl.load(values + place, mask=live, other=0.0).to(tl.float32)
        j = tl.load(index + edge, mask=live, other=0).to(tl.int64)
        other = tl.load(y + j * y_row + column * y_column, mask=live & inside, other=0.0).to(tl.float32)
        if KIND == "product":
            total += value * other
        elif KIND == "difference":
            total += 2 * value * (own - other)
        elif KIND == "sign":
            total += tl.where(own > other, value, tl.where(own < other, -value, 0.0))
        else:
            along += value * tl.load(similarity + place, mask=live, other=0.0)
            total += value * own_inverse * tl.load(inverse_norm + j, mask=live, other=0.0) * other
    sums = tl.sum(total, axis=0)[None, :]
    if KIND == "cosine":
        sums -= own_inverse * own_inverse * tl.sum(along) * own
    line = tl.load(slot + chunk)
    if line >= 0:
        tl.store(partial + line.to(tl.int64) * width + column, sums, mask=inside)
    else:
        store_sums(out + i.to(tl.int64) * width + column, sums, inside, ADD)


@triton.jit
def combine_sums_kernel(
    out, partial, long_row, long_ptr, width, ADD: tl.constexpr, SLOTS: tl.constexpr, WIDTH: tl.constexpr
):
    """Add a long row's partial sums, in a fixed order."""
    i = tl.load(long_row + tl.program_id(0)).to(tl.int64)
    begin = tl.load(long_ptr + tl.program_id(0))
    end = tl.load(long_ptr + tl.program_id(0) + 1)
    column = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)[None, :]
    inside = column < width
    total = tl.zeros((SLOTS, WIDTH), tl.float32)
    for first in range(begin, end, SLOTS):
        line = (first + tl.arange(0, SLOTS))[:, None]
        total += tl.load(partial + line.to(tl.int64) * width + column, mask=(line < end) & inside, other=0.0)
    sums = tl.sum(total, axis=0)[None, :]
    store_sums(out + i * width + column, sums, inside, ADD)


def row_sums(
    kind: str, out: Tensor, x: Tensor, y: Tensor, values: Tensor, index: Tensor, ptr: Tensor,
    order: Tensor | None = None, similarity: Tensor | None = None, inverse_norm: Tensor | None = None, *,
    add: bool = False,
) -> Tensor:  # fmt: skip
    """Sum messages from ``y`` at ``index`` over the edges between pointers into ``out`` (R, d), and return it.

    ``order``: positions of the edges' values, if not in the edges' order; ``add``: to the contents of ``out``, which
    must be float32. For kinds, and the further arguments of "cosine", see ``row_sums_kernel``.
    """
    chunks, width = row_chunks(ptr), y.size(1)
    partial = torch.empty(chunks.slots, width, dtype=torch.float32, device=y.device)
    tile = block_size(width, LARGEST_WIDTH)
    blocks, shape = triton.cdiv(width, tile), {"ADD": add, "WIDTH": tile, "warps": tile_warps(tile, _ROW_EDGES)}
    inputs = (values if fact is None else fact for fact in (order, similarity, inverse_norm))  # unread ones: any tensor
    launch(
        row_sums_kernel, (chunks.row.size(0), blocks), out, partial, x, y, values, index, *inputs, *chunks[:3], ptr,
        width, *x.stride(), *y.stride(), KIND=kind, ORDERED=order is not None, LENGTH=chunks.length, EDGES=_ROW_EDGES,
        **shape,
    )  # fmt: skip
    longer = chunks.long_row, chunks.long_ptr
    launch(combine_sums_kernel, (chunks.long_row.size(0), blocks), out, partial, *longer, width, SLOTS=_SLOTS, **shape)
    return out


def edge_spmm(values: Tensor, y: Tensor, *inputs: Any) -> Tensor:
    """``graphkd::edge_spmm``."""
    *layout, transpose = inputs
    ptr, source, _, out_ptr, out_target, out_order = layout
    ends = (out_target, out_ptr, out_order) if transpose else (source, ptr)
    out = y.new_empty(ptr.size(0) - 1, y.size(1))
    return row_sums("product", out, y, y, values.contiguous(), *ends)


def edge_l1_distance_backward(grad: Tensor, x: Tensor, *layout: Tensor) -> Tensor:
    """``graphkd::edge_l1_distance_backward``."""
    return symmetric_pull("sign", x, grad, layout)


def symmetric_pull(kind: str, x: Tensor, grad: Tensor, layout: Sequence[Tensor], *inputs: Tensor | None) -> Tensor:
    """Compute the gradient (N, d) of a symmetric function of both ends of every edge, from that of its values (E,)."""
    ptr, source, _, out_ptr, out_target, out_order = layout
    out, grad = torch.empty(x.shape, dtype=torch.float32, device=x.device), grad.contiguous()
    row_sums(kind, out, x, x, grad, source, ptr, None, *inputs)
    return row_sums(kind, out, x, x, grad, out_target, out_ptr, out_order, *inputs, add=True).to(x.dtype)


# ---------------------------------------------------------------- what to compile ahead of time
_UNIT = {"x_column": 1, "y_column": 1}
_WIDTHS = (64, LARGEST_WIDTH)  # one warp and two; narrower tiles need less
_VALUES = "*? *? *i32 *i32 *fp32 i32 i32:16 i32:16 i32:16"
_KINDS = ("product", "difference", "sign", "cosine")
_SUMS = "*fp32 *? *? *fp32 *i32 *i64 *fp32 *fp32 *i32 *i32 *i32 *i32 i32:16 i32:16 i32:16"
COMPILED: list[Compiled] = [
    compiled
    for kind, width in product(("dot", "squared", "l1"), _WIDTHS)
    for compiled in each_dtype(
        edge_values_kernel, _VALUES, {"KIND": kind, "EDGES": EDGES, "WIDTH": width, **_UNIT}, 2 * tile_warps(width)
    )
]
COMPILED += [
    compiled
    for (kind, out, add), width in product(
        (("product", "*?", False), *((kind, "*fp32", True) for kind in _KINDS)), _WIDTHS
    )
    for compiled in each_dtype(
        row_sums_kernel,
        f"{out} {_SUMS}",
        {"KIND": kind, "ORDERED": True, "ADD": add, "LENGTH": LENGTH, "EDGES": _ROW_EDGES, "WIDTH": width, **_UNIT},
        tile_warps(width, _ROW_EDGES),
    )
]
COMPILED += [
    Compiled(
        combine_sums_kernel,
        f"{out} *fp32 *i32 *i32 i32:16",
        {"ADD": out == "*fp32", "SLOTS": _SLOTS, "WIDTH": width},
        tile_warps(width, _ROW_EDGES),
    )
    for out, width in product(("*fp32", "*fp16", "*bf16"), _WIDTHS)
]
