"""Triton bodies of the local structure loss.

Forward computes the products or distances of all edges and their similarities, then the softmax of every row and its
divergence from the teacher's. Backward computes a weight for every edge from them, then sums the neighbours' features
by rows, once for each direction. No atomics: the same inputs give the same bits.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from graphkd.kernels.cuda.common import Compiled, block_size, each_dtype, launch
from graphkd.kernels.cuda.edges import EDGES, LARGEST_WIDTH, edge_block, pair_values_of, symmetric_pull, tile_warps
from graphkd.kernels.cuda.segments import BLOCK, normalised, statistics
from graphkd.kernels.edges.similarity import PAIR_VALUES
from graphkd.kernels.norms import inverse_norms


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
def scores_kernel(
    score, pair_values, x, inverse_norm, target, source, edges, width, x_row, x_column, sigma, offset,
    KERNEL: tl.constexpr, PAIR: tl.constexpr, UNIT: tl.constexpr, DEGREE: tl.constexpr,
    EDGES: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """Compute pair values z_e and similarities k(z_e); a block of edges a program."""
    edge, live, i, j = edge_block(target, source, edges, EDGES)
    z = pair_values_of(x, x, i, j, live, width, x_row, x_column, x_row, x_column, PAIR, EDGES, WIDTH)
    if UNIT:
        z *= tl.load(inverse_norm + i, mask=live, other=0.0) * tl.load(inverse_norm + j, mask=live, other=0.0)
    tl.store(pair_values + edge, z, mask=live)
    tl.store(score + edge, similarity(z, sigma, offset, KERNEL, DEGREE), mask=live)


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
    log_p = normalised(similarity(z, sigma, offset, KERNEL, DEGREE), norm, i, live)
    log_t = tl.load(teacher + edge, mask=live, other=0.0).to(tl.float32)
    if REVERSE:
        of_score = tl.exp(log_p) * (log_p - log_t - tl.load(value + i, mask=live, other=0.0))
    else:
        of_score = tl.exp(log_p) - tl.exp(log_t)
    pull = tl.load(grad + i, mask=live, other=0.0) * of_score * slope(z, sigma, offset, KERNEL, DEGREE)
    tl.store(weight + edge, pull, mask=live)


def local_structure(x: Tensor, teacher: Tensor, *inputs: Any) -> tuple[Tensor, Tensor, Tensor]:
    """``graphkd::local_structure``."""
    ptr, source, target, *_, kernel, unit, sigma, degree, offset, reverse = inputs
    score = torch.empty(source.size(0), dtype=torch.float32, device=x.device)
    pair_values = torch.empty_like(score)
    inverse = inverse_norms(x) if unit else score  # else not read
    width, grid = block_size(x.size(1), LARGEST_WIDTH), (triton.cdiv(source.size(0), EDGES),)
    launch(
        scores_kernel, grid, score, pair_values, x, inverse, target, source, source.size(0), x.size(1), *x.stride(),
        sigma, offset, KERNEL=kernel, PAIR=PAIR_VALUES[kernel], UNIT=unit, DEGREE=degree, EDGES=EDGES, WIDTH=width,
        warps=2 * tile_warps(width),
    )  # fmt: skip
    norm, value = statistics("reverse" if reverse else "kl", score, teacher.contiguous(), ptr)
    return value, pair_values, norm


def local_structure_backward(
    grad: Tensor, kl: Tensor, pair_values: Tensor, norm: Tensor, x: Tensor, teacher: Tensor, *inputs: Any
) -> Tensor:
    """``graphkd::local_structure_backward``."""
    *layout, kernel, unit, sigma, degree, offset, reverse = inputs
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
    for kernel, unit in _KERNELS.items()
    for width in (64, LARGEST_WIDTH)
    for compiled in each_dtype(
        scores_kernel,
        "*fp32 *fp32 *? *fp32 *i32 *i32 i32 i32:16 i32:16 fp32 fp32",
        {
            "x_column": 1, "KERNEL": kernel, "PAIR": PAIR_VALUES[kernel], "UNIT": unit, "DEGREE": 2,
            "EDGES": EDGES, "WIDTH": width,
        },
        2 * tile_warps(width),
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
