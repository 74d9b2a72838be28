"""Distances over the edges of a graph, |x_target - x_source|; as in ``products``, values are in target order."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphkd.kernels.checks import check_nodes
from graphkd.kernels.edges.layout import EdgeLayout
from graphkd.kernels.edges.products import NO_GRADIENT, _edge_dot, _edge_spmm, save_inputs
from graphkd.kernels.operators import CHUNK_ELEMENTS, CLOSE, accumulation_dtype, operator, row_blocks


def edge_squared_distance(x: Tensor, layout: EdgeLayout) -> Tensor:
    """Squared Euclidean distances over edges, (N, d) -> (E,), as |x_i|^2 + |x_j|^2 - 2 x_i . x_j.

    Edges between near-duplicate rows, where that form cancels, are computed again from the difference.
    """
    check_nodes(layout, x=x)
    return _edge_squared_distance(x, *layout.rows)


def edge_l1_distance(x: Tensor, layout: EdgeLayout) -> Tensor:
    """L1 distances over edges, (N, d) -> (E,); no product form exists, so edges are gathered in bounded chunks."""
    check_nodes(layout, x=x)
    return _edge_l1_distance(x, *layout.rows)


def edge_squared_distance_reference(x: Tensor, layout: EdgeLayout) -> Tensor:
    """``edge_squared_distance`` with both end points gathered."""
    return (x[layout.target] - x[layout.source]).square().sum(dim=1)


def edge_l1_distance_reference(x: Tensor, layout: EdgeLayout) -> Tensor:
    """``edge_l1_distance`` with both end points gathered."""
    return (x[layout.target] - x[layout.source]).abs().sum(dim=1)


@operator("edge_squared_distance")
def _edge_squared_distance(
    x: Tensor, ptr: Tensor, source: Tensor, target: Tensor, out_ptr: Tensor, out_target: Tensor, out_order: Tensor
) -> Tensor:
    wide = x.to(accumulation_dtype(x))
    norm = wide.square().sum(dim=1)
    scale = norm[target] + norm[source]
    distance = scale - 2 * _edge_dot(wide, wide, ptr, source, target, out_ptr, out_target, out_order)
    close = (distance < CLOSE * scale).nonzero().squeeze(1)
    for part in row_blocks(close.size(0), x.size(1), CHUNK_ELEMENTS, x.device):
        edges = close[part]
        distance[edges] = (wide[target[edges]] - wide[source[edges]]).square().sum(dim=1)
    return distance


@_edge_squared_distance.register_fake
def _(
    x: Tensor,
    ptr: Tensor,
    source: Tensor,
    target: Tensor,
    out_ptr: Tensor,
    out_target: Tensor,
    out_order: Tensor,
) -> Tensor:
    return x.new_empty(source.size(0), dtype=accumulation_dtype(x))


def _edge_squared_distance_backward(ctx: Any, grad: Tensor) -> tuple:
    x, *layout = ctx.saved_tensors
    wide = x.to(grad.dtype)
    pulled = _edge_spmm(grad, wide, *layout, False) + _edge_spmm(grad, wide, *layout, True)
    return (2 * (_edge_totals(grad, *layout)[:, None] * wide - pulled)).to(x.dtype), *NO_GRADIENT


_edge_squared_distance.register_autograd(_edge_squared_distance_backward, setup_context=save_inputs)


@operator("edge_totals")
def _edge_totals(
    values: Tensor, ptr: Tensor, source: Tensor, target: Tensor, out_ptr: Tensor, out_target: Tensor, out_order: Tensor
) -> Tensor:
    """Sum, for each node, the values of the edges that enter or leave it, (E,) -> (N,)."""
    total = torch.zeros(ptr.size(0) - 1, dtype=values.dtype, device=values.device)
    return total.index_add_(0, target, values).index_add_(0, source, values)


@_edge_totals.register_fake
def _(
    values: Tensor, ptr: Tensor, source: Tensor, target: Tensor, out_ptr: Tensor, out_target: Tensor, out_order: Tensor
) -> Tensor:
    return values.new_empty(ptr.size(0) - 1)


def _edge_totals_backward(ctx: Any, grad: Tensor) -> tuple:
    _, _, source, target, *_ = ctx.saved_tensors
    return grad.index_select(0, target) + grad.index_select(0, source), *NO_GRADIENT


_edge_totals.register_autograd(_edge_totals_backward, setup_context=save_inputs)


@operator("edge_l1_distance")
def _edge_l1_distance(
    x: Tensor,
    ptr: Tensor,
    source: Tensor,
    target: Tensor,
    out_ptr: Tensor,
    out_target: Tensor,
    out_order: Tensor,
) -> Tensor:
    distance = x.new_empty(source.size(0), dtype=accumulation_dtype(x))
    for part in row_blocks(source.size(0), x.size(1), CHUNK_ELEMENTS, x.device):
        distance[part] = (x[target[part]] - x[source[part]]).to(distance.dtype).abs().sum(dim=1)
    return distance


@_edge_l1_distance.register_fake
def _(
    x: Tensor,
    ptr: Tensor,
    source: Tensor,
    target: Tensor,
    out_ptr: Tensor,
    out_target: Tensor,
    out_order: Tensor,
) -> Tensor:
    return x.new_empty(source.size(0), dtype=accumulation_dtype(x))


@operator("edge_l1_distance_backward")
def _edge_l1_pull(
    grad: Tensor,
    x: Tensor,
    ptr: Tensor,
    source: Tensor,
    target: Tensor,
    out_ptr: Tensor,
    out_target: Tensor,
    out_order: Tensor,
) -> Tensor:
    pull = torch.zeros_like(x, dtype=accumulation_dtype(x), memory_format=torch.contiguous_format)
    for part in row_blocks(source.size(0), x.size(1), CHUNK_ELEMENTS, x.device):
        step = (x[target[part]] - x[source[part]]).sign().to(pull.dtype) * grad[part, None]
        pull.index_add_(0, target[part], step)
        pull.index_add_(0, source[part], step, alpha=-1)
    return pull.to(x.dtype)


@_edge_l1_pull.register_fake
def _(
    grad: Tensor,
    x: Tensor,
    ptr: Tensor,
    source: Tensor,
    target: Tensor,
    out_ptr: Tensor,
    out_target: Tensor,
    out_order: Tensor,
) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def _edge_l1_backward(ctx: Any, grad: Tensor) -> tuple:
    return _edge_l1_pull(grad, *ctx.saved_tensors), *NO_GRADIENT


_edge_l1_distance.register_autograd(_edge_l1_backward, setup_context=save_inputs)
