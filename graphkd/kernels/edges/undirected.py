"""Products and distances over the edges of an undirected graph, where each edge is there in both directions.

Both directions share one value, so only half of the values are computed. The gradient, w_ij x_j + w_ji x_j summed over
all neighbours j, is one sparse product with w_ij + w_ji instead of two products.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphkd.kernels.checks import check_nodes
from graphkd.kernels.edges.distances import _edge_squared_distance
from graphkd.kernels.edges.layout import EdgeLayout, Undirected
from graphkd.kernels.edges.products import _edge_dot, _edge_spmm
from graphkd.kernels.edges.segments import _segment_sum


def undirected(layout: EdgeLayout) -> Undirected | None:
    """Pair each edge with its reverse; None where some edge has none, off the CPU, and in ``torch.compile``."""
    if torch.compiler.is_compiling() or layout.ptr.device.type != "cpu":
        return None
    return layout.undirected


def paired_dot(x: Tensor, layout: EdgeLayout, pairs: Undirected) -> Tensor:
    """``edge_dot(x, x, layout)`` of an undirected graph: (N, d) -> (E,)."""
    check_nodes(layout, x=x)
    found: Tensor = _PairedDot.apply(x, layout, pairs)  # type: ignore[no-untyped-call]
    return found


def paired_squared_distance(x: Tensor, layout: EdgeLayout, pairs: Undirected) -> Tensor:
    """``edge_squared_distance`` of an undirected graph: (N, d) -> (E,)."""
    check_nodes(layout, x=x)
    found: Tensor = _PairedSquaredDistance.apply(x, layout, pairs)  # type: ignore[no-untyped-call]
    return found


class _PairedDot(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, layout: EdgeLayout, pairs: Undirected) -> Tensor:
        ctx.save_for_backward(x)
        ctx.layout, ctx.pairs = layout, pairs
        dots: Tensor = _edge_dot(x, x, *pairs.half.rows)
        return dots.index_select(0, pairs.place)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple:
        (x,) = ctx.saved_tensors
        return _edge_spmm(_added(grad, ctx.pairs), x, *ctx.layout.rows, False), None, None


class _PairedSquaredDistance(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, layout: EdgeLayout, pairs: Undirected) -> Tensor:
        ctx.save_for_backward(x)
        ctx.layout, ctx.pairs = layout, pairs
        squared: Tensor = _edge_squared_distance(x, *pairs.half.rows)
        return squared.index_select(0, pairs.place)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple:
        (x,), weight, layout = ctx.saved_tensors, _added(grad, ctx.pairs), ctx.layout
        wide = x.to(grad.dtype)
        degree = _segment_sum(weight, layout.ptr, layout.target)
        pulled = degree[:, None] * wide - _edge_spmm(weight, wide, *layout.rows, False)
        return (2 * pulled).to(x.dtype), None, None


def _added(grad: Tensor, pairs: Undirected) -> Tensor:
    return grad + grad.index_select(0, pairs.reverse)
