"""Fused Triton bodies of the local structure loss.

The forward takes one pass over each target's row: similarities, their softmax and its divergence from the teacher's are
made while the neighbours' features stream by; of the edges only their products or distances are kept (E,). The backward
turns these into a weight for every edge, then sums the neighbours' features by rows, once for each direction.
No atomics: the same inputs give the same bits.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from graphkd.kernels.cuda.chunks import LENGTH, row_chunks
from graphkd.kernels.cuda.common import Compiled, block_size, each_dtype, launch
from graphkd.kernels.cuda.edges import EDGES, LARGEST_WIDTH, pair_terms, symmetric_pull, tile_warps
from graphkd.kernels.cuda.segments import (
    BLOCK,
    absorb_edges,
    combine_statistics,
    no_statistics,
    row_results,
    store_chunk,
)
from graphkd.kernels.similarity import PAIR_VALUES, inverse_norms


@triton.jit
def similarity(z, sigma, offset, KERNEL: tl.constexpr, DEGREE: tl.constexpr):
    """``apply_kernel``."""
    value = z
    if KERNEL == "poly":
        value = tl.full(z.shape, 1.0, tl.float32)
        for _ in tl.static_range(DEGREE):
            value *= z + offset
    if KERNEL == "euclidean":
        value = tl.sqrt(z)
    if KERNEL == "rbf":
        value = tl.exp(-z / (2 * sigma))
    if KERNEL == "laplacian":
        value = tl.exp(-z / sigma)
    return value


@triton.jit
def slope(z, sigma, offset, KERNEL: tl.constexpr, DEGREE: tl.constexpr):
    """Derivative of ``similarity``."""
    value = tl.full(z.shape, 1.0, tl.float32)
    if KERNEL == "poly":
        for _ in tl.static_range(DEGREE - 1):
            value *= z + offset
        value *= DEGREE
    if KERNEL == "euclidean":
        value = tl.where(z > 0, 0.5 / tl.sqrt(z), 0.0)
    if KERNEL == "rbf":
        value = -tl.exp(-z / (2 * sigma)) / (2 * sigma)
    if KERNEL == "laplacian":
        value = -tl.exp(-z / sigma) / sigma
    return value


@triton.jit
def local_structure_kernel(
    norm, value, partial, pair_values, x, inverse_norm, teacher, source, row, start, slot, ptr,
    width, x_row, x_column, sigma, offset,
    KERNEL: tl.constexpr, PAIR: tl.constexpr, UNIT: tl.constexpr, DEGREE: tl.constexpr, MODE: tl.constexpr,
    LENGTH: tl.constexpr, EDGES: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """Pair values z_e, and log-sum-exp and divergence of the softmax of k(z); a chunk of a row a program."""
    chunk = tl.program_id(0) + tl.arange(0, 1)
    i = tl.load(row + chunk)
    begin = tl.load(start + tl.program_id(0))
    end = tl.minimum(begin + LENGTH, tl.load(ptr + tl.load(row + tl.program_id(0)) + 1))
    peak, s, q, w = no_statistics(1, MODE)
    for first in range(begin, end, EDGES):
        edge = first + tl.arange(0, EDGES)
        live = edge < end
        j = tl.load(source + edge, mask=live, other=0).to(tl.int64)
        total = tl.zeros((EDGES, WIDTH), tl.float32)
        for left in range(0, width, WIDTH):
            column = left + tl.arange(0, WIDTH)[None, :]
            inside = column < width
            own = tl.load(x + i[:, None].to(tl.int64) * x_row + column * x_column, mask=inside, other=0.0)
            other = tl.load(x + j[:, None] * x_row + column * x_column, mask=live[:, None] & inside, other=0.0)
            total += pair_terms(own.to(tl.float32), other.to(tl.float32), PAIR)
        z = tl.sum(total, axis=1)
        if UNIT:
            z *= tl.load(inverse_norm + i) * tl.load(inverse_norm + j, mask=live, other=0.0)
        tl.store(pair_values + edge, z, mask=live)
        u = similarity(z, sigma, offset, KERNEL, DEGREE)[None, :]
        peak, s, q, w = absorb_edges(peak, s, q, w, u, teacher, edge[None, :], live[None, :], MODE)
    line = tl.load(slot + chunk)
    store_chunk(norm, value, partial, i, line, peak, s, q, w, line >= -1, MODE)


@triton.jit
def weights_kernel(
    weight, grad, value, pair_values, norm, teacher, target, edges, sigma, offset,
    KERNEL: tl.constexpr, DEGREE: tl.constexpr, REVERSE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Derivative by z_e: g_i k'(z) (p - t) with p = softmax k(z), reversed g_i k'(z) p (log p - log t - KL_i)."""
    edge = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    live = edge < edges
    i = tl.load(target + edge, mask=live, other=0)
    z = tl.load(pair_values + edge, mask=live, other=0.0)
    log_p = similarity(z, sigma, offset, KERNEL, DEGREE) - tl.load(norm + i, mask=live, other=0.0)
    log_t = tl.load(teacher + edge, mask=live, other=0.0).to(tl.float32)
    if REVERSE:
        of_score = tl.exp(log_p) * (log_p - log_t - tl.load(value + i, mask=live, other=0.0))
    else:
        of_score = tl.exp(log_p) - tl.exp(log_t)
    pull = tl.load(grad + i, mask=live, other=0.0) * of_score * slope(z, sigma, offset, KERNEL, DEGREE)
    tl.store(weight + edge, pull, mask=live)


def local_structure(x: Tensor, teacher: Tensor, *facts: Any) -> tuple[Tensor, Tensor, Tensor]:
    """``graphkd::local_structure``."""
    ptr, source, *_, kernel, unit, sigma, degree, offset, reverse = facts
    chunks = row_chunks(ptr)
    norm, value, partial = row_results(chunks, ptr)
    pair_values = torch.empty(source.size(0), dtype=torch.float32, device=x.device)
    inverse = inverse_norms(x) if unit else norm  # else unread
    width, mode = block_size(x.size(1), LARGEST_WIDTH), "reverse" if reverse else "kl"
    launch(
        local_structure_kernel, (chunks.row.size(0),), norm, value, partial, pair_values, x, inverse,
        teacher.contiguous(), source, *chunks[:3], ptr, x.size(1), *x.stride(), sigma, offset,
        KERNEL=kernel, PAIR=PAIR_VALUES[kernel], UNIT=unit, DEGREE=degree, MODE=mode, LENGTH=chunks.length, EDGES=EDGES,
        WIDTH=width, warps=tile_warps(width),
    )  # fmt: skip
    combine_statistics(mode, norm, value, partial, chunks)
    return value, pair_values, norm


def local_structure_backward(
    grad: Tensor, kl: Tensor, pair_values: Tensor, norm: Tensor, x: Tensor, teacher: Tensor, *facts: Any
) -> Tensor:
    """``graphkd::local_structure_backward``."""
    *layout, kernel, unit, sigma, degree, offset, reverse = facts
    weight, edges, target = torch.empty_like(pair_values), pair_values.size(0), layout[2]
    launch(
        weights_kernel, (triton.cdiv(edges, BLOCK),), weight, grad.contiguous(), kl, pair_values, norm,
        teacher.contiguous(), target, edges, sigma, offset, KERNEL=kernel, DEGREE=degree, REVERSE=reverse, BLOCK=BLOCK,
    )  # fmt: skip
    if unit:
        return symmetric_pull("cosine", x, weight, layout, pair_values, inverse_norms(x))
    kind = {"dot": "product", "squared": "difference", "l1": "sign"}[PAIR_VALUES[kernel]]
    return symmetric_pull(kind, x, weight, layout)


# ---------------------------------------------------------------- what to compile ahead of time
_KERNELS = {"cosine": True, "dot": False, "poly": True, "rbf": False, "euclidean": False, "laplacian": False}  # UNIT
COMPILED: list[Compiled] = [
    compiled
    for (kernel, unit), mode in zip(_KERNELS.items(), 3 * ("kl", "reverse"), strict=True)
    for width in (64, LARGEST_WIDTH)
    for compiled in each_dtype(
        local_structure_kernel,
        "*fp32 *fp32 *fp32 *fp32 *? *fp32 *fp32 *i32 *i32 *i32 *i32 *i32 i32:16 i32:16 fp32 fp32",
        {
            "x_column": 1, "KERNEL": kernel, "PAIR": PAIR_VALUES[kernel], "UNIT": unit, "DEGREE": 2, "MODE": mode,
            "LENGTH": LENGTH, "EDGES": EDGES, "WIDTH": width,
        },
        tile_warps(width),
    )
]  # fmt: skip
COMPILED += [
    Compiled(
        weights_kernel,
        "*fp32 *fp32 *fp32 *fp32 *fp32 *fp32 *i32 i32 fp32 fp32",
        {"KERNEL": kernel, "DEGREE": 2, "REVERSE": reverse, "BLOCK": BLOCK},
    )
    for kernel in _KERNELS
    for reverse in (False, True)
]
