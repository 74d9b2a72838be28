"""Sampled dense-dense products and sparse-dense products over the edges of a graph.

Each is a custom operator with an ATen body; the ``*_reference`` twin beside it is the plain (E, d) form that
tests and benchmarks compare with. Operators take the tensors ``EdgeLayout.rows``, since a
``torch.library`` schema accepts no dataclass; values per edge are in target order, in float32 at least.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphkd.core.csr import csr
from graphkd.kernels.checks import check_matrices, check_vectors, check_widths
from graphkd.kernels.edges.layout import EdgeLayout
from graphkd.kernels.operators import accumulation_dtype, operator

NO_GRADIENT = (None,) * 6  # of a layout


# ---------------------------------------------------------------- products: x_target . y_source
def edge_dot(x: Tensor, y: Tensor, layout: EdgeLayout) -> Tensor:
    """Inner products over edges, u_e = x[target_e] . y[source_e]: (N, d), (N, d) -> (E,), O(E d) time, O(E) memory."""
    check_widths(x=x, y=y)
    _check_ends(layout, to=("x", x), start=("y", y))
    return _edge_dot(x, y, *layout.rows)


def edge_spmm(values: Tensor, y: Tensor, layout: EdgeLayout, *, transpose: bool = False) -> Tensor:
    """Sum rows over edges, out[target_e] += values_e y[source_e] (transposed: from target to source), -> (N, d)."""
    check_vectors(layout.num_edges, values=values)
    check_matrices(y=y)
    _check_ends(layout, **{"to" if transpose else "start": ("y", y)})
    return _edge_spmm(values, y, *layout.rows, transpose)


def _check_ends(layout: EdgeLayout, **ends: tuple[str, Tensor]) -> None:
    """Check that targets and sources have as many rows as the layout: otherwise products would read out of bounds."""
    for end, (name, x) in ends.items():
        ptr = layout.ptr if end == "to" else layout.out_ptr
        if ptr.numel() and x.size(0) != ptr.size(0) - 1:  # ``out_ptr`` is empty in layouts of lists without gradient
            raise ValueError(f"{name!r} must have a row for each of the {ptr.size(0) - 1} nodes, got {x.size(0)}")


def edge_dot_reference(x: Tensor, y: Tensor, layout: EdgeLayout) -> Tensor:
    """``edge_dot`` with both end points gathered."""
    return (x[layout.target] * y[layout.source]).sum(dim=1)


def edge_spmm_reference(values: Tensor, y: Tensor, layout: EdgeLayout, *, transpose: bool = False) -> Tensor:
    """``edge_spmm`` with the messages gathered."""
    to, start = (layout.source, layout.target) if transpose else (layout.target, layout.source)
    return torch.zeros_like(y).index_add(0, to.long(), values[:, None] * y[start])


@operator("edge_dot")
def _edge_dot(
    x: Tensor,
    y: Tensor,
    ptr: Tensor,
    source: Tensor,
    target: Tensor,
    out_ptr: Tensor,
    out_target: Tensor,
    out_order: Tensor,
) -> Tensor:
    if source.numel() == 0:
        return x.new_zeros(0, dtype=accumulation_dtype(x))
    wide = accumulation_dtype(x)
    if source.numel() > x.size(0) * y.size(0):  # more duplicates than a CSR matrix may hold; N x N is less
        rows = torch.arange(x.size(0), device=x.device).repeat_interleave(ptr.diff(), output_size=source.size(0))
        return (x.to(wide) @ y.to(wide).t())[rows, source]  # layouts of lists have no ``target``
    pattern = csr(ptr, source, torch.zeros(source.size(0), dtype=wide, device=x.device), (ptr.size(0) - 1, y.size(0)))
    dots = torch.sparse.sampled_addmm(pattern, x.to(wide).contiguous(), y.to(wide).contiguous().t(), beta=0.0)
    return dots.values()


@_edge_dot.register_fake
def _(
    x: Tensor,
    y: Tensor,
    ptr: Tensor,
    source: Tensor,
    target: Tensor,
    out_ptr: Tensor,
    out_target: Tensor,
    out_order: Tensor,
) -> Tensor:
    return x.new_empty(source.size(0), dtype=accumulation_dtype(x))


def save_inputs(ctx: Any, inputs: tuple, output: Tensor) -> None:
    """Save all inputs, which are tensors, for backward."""
    ctx.save_for_backward(*inputs)


def _edge_dot_backward(ctx: Any, grad: Tensor) -> tuple:
    x, y, *layout = ctx.saved_tensors
    grad_x = _edge_spmm(grad, y, *layout, False) if ctx.needs_input_grad[0] else None
    grad_y = _edge_spmm(grad, x, *layout, True) if ctx.needs_input_grad[1] else None
    return grad_x, grad_y, *NO_GRADIENT


_edge_dot.register_autograd(_edge_dot_backward, setup_context=save_inputs)


@operator("edge_spmm")
def _edge_spmm(
    values: Tensor,
    y: Tensor,
    ptr: Tensor,
    source: Tensor,
    target: Tensor,
    out_ptr: Tensor,
    out_target: Tensor,
    out_order: Tensor,
    transpose: bool,
) -> Tensor:
    if source.numel() == 0:
        return y.new_zeros((out_ptr if transpose else ptr).size(0) - 1, y.size(1))
    wide = accumulation_dtype(y)
    if transpose:
        matrix = csr(out_ptr, out_target, values.index_select(0, out_order).to(wide), (out_ptr.size(0) - 1, y.size(0)))
    else:
        matrix = csr(ptr, source, values.to(wide).contiguous(), (ptr.size(0) - 1, y.size(0)))
    found = torch.empty(matrix.size(0), y.size(1), dtype=wide, device=y.device)
    torch.addmm(found, matrix, y.to(wide).contiguous(), beta=0, out=found)  # ``@`` would copy its zeros first
    return found.to(y.dtype)


@_edge_spmm.register_fake
def _(
    values: Tensor,
    y: Tensor,
    ptr: Tensor,
    source: Tensor,
    target: Tensor,
    out_ptr: Tensor,
    out_target: Tensor,
    out_order: Tensor,
    transpose: bool,
) -> Tensor:
    return y.new_empty((out_ptr if transpose else ptr).size(0) - 1, y.size(1))


def _edge_spmm_setup(ctx: Any, inputs: tuple, output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:-1])
    ctx.transpose = inputs[-1]


def _edge_spmm_backward(ctx: Any, grad: Tensor) -> tuple:
    values, y, *layout = ctx.saved_tensors
    ends = (y, grad) if ctx.transpose else (grad, y)
    grad_values = _edge_dot(*ends, *layout) if ctx.needs_input_grad[0] else None
    grad_y = _edge_spmm(values, grad, *layout, not ctx.transpose) if ctx.needs_input_grad[1] else None
    return grad_values, grad_y, *NO_GRADIENT, None


_edge_spmm.register_autograd(_edge_spmm_backward, setup_context=_edge_spmm_setup)
