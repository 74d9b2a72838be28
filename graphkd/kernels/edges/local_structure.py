"""The local structure loss as one operator: similarities, log-softmax and divergence of every node's in-edges.

The ATen body composes the bodies of ``products``, ``distances`` and ``segments``; the Triton body saves less for
backward.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphkd.kernels.checks import check_nodes, check_vectors
from graphkd.kernels.edges.distances import (
    _edge_l1_distance,
    _edge_l1_pull,
    _edge_squared_distance,
    _edge_totals,
    edge_l1_distance_reference,
    edge_squared_distance_reference,
)
from graphkd.kernels.edges.layout import EdgeLayout
from graphkd.kernels.edges.products import NO_GRADIENT, _edge_dot, _edge_spmm, edge_dot_reference
from graphkd.kernels.edges.segments import edge_kl_reference, log_probabilities, normaliser, segment_sum
from graphkd.kernels.edges.similarity import (
    PAIR_VALUES,
    EdgeKernel,
    apply_kernel,
    check_kernel,
)
from graphkd.kernels.norms import inverse_norms, unit_vectors
from graphkd.kernels.operators import accumulation_dtype, operator


def local_structure_kl(
    x: Tensor,
    teacher_log_prob: Tensor,
    layout: EdgeLayout,
    kernel: EdgeKernel = "rbf",
    *,
    sigma: float = 1.0,
    degree: int = 2,
    offset: float = 0.0,
    normalise: bool = False,
    reverse: bool = False,
) -> Tensor:
    """``edge_kl`` of ``edge_similarity``: (N, d), (E,) -> (N,).

    teacher_log_prob: log-probabilities in target order. Kernels and options as in ``edge_similarity``; ``reverse`` as
    in ``edge_kl``. O(E d) time, O(E + N) memory; the gradient passes over the edges twice. Not twice differentiable:
    for second derivatives, and on a CPU, compose ``similarity_in_layout`` and ``edge_kl``.
    """
    check_kernel(kernel)
    check_nodes(layout, x=x)
    check_vectors(layout.num_edges, teacher_log_prob=teacher_log_prob)
    products = PAIR_VALUES[kernel] == "dot"
    if normalise and not products:
        x = unit_vectors(x)
    unit = products and (normalise or kernel == "cosine")
    options = (kernel, unit, float(sigma), degree, float(offset), reverse)
    value: Tensor = _local_structure(x, teacher_log_prob, *layout.rows, *options)[0]
    return value


def local_structure_kl_reference(
    x: Tensor,
    teacher_log_prob: Tensor,
    layout: EdgeLayout,
    kernel: EdgeKernel = "rbf",
    *,
    sigma: float = 1.0,
    degree: int = 2,
    offset: float = 0.0,
    normalise: bool = False,
    reverse: bool = False,
) -> Tensor:
    """``local_structure_kl`` with both end points gathered, a node at a time."""
    if normalise or kernel == "cosine":
        x = unit_vectors(x)
    values = {
        "dot": lambda: edge_dot_reference(x, x, layout),
        "squared": lambda: edge_squared_distance_reference(x, layout),
        "l1": lambda: edge_l1_distance_reference(x, layout),
    }[PAIR_VALUES[kernel]]()
    return edge_kl_reference(
        apply_kernel(values, kernel, sigma, degree, offset), teacher_log_prob, layout, reverse=reverse
    )


@operator("local_structure")
def _local_structure(
    x: Tensor,
    teacher: Tensor,
    ptr: Tensor,
    source: Tensor,
    target: Tensor,
    out_ptr: Tensor,
    out_target: Tensor,
    out_order: Tensor,
    kernel: str,
    unit: bool,
    sigma: float,
    degree: int,
    offset: float,
    reverse: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute divergences (N,), and for the gradient the products or distances of edges (E,) and ``normaliser``."""
    rows = ptr, source, target, out_ptr, out_target, out_order
    if PAIR_VALUES[kernel] == "dot":
        values = _edge_dot(x, x, *rows)
        if unit:
            inverse = inverse_norms(x)
            values *= inverse.index_select(0, target) * inverse.index_select(0, source)
    else:
        values = (_edge_l1_distance if PAIR_VALUES[kernel] == "l1" else _edge_squared_distance)(x, *rows)
    scores = apply_kernel(values, kernel, sigma, degree, offset)
    norm = normaliser(scores, ptr, target)
    p, q = log_probabilities(scores, norm, target), teacher.to(scores.dtype)
    return segment_sum(p.exp() * (p - q) if reverse else q.exp() * (q - p), ptr), values, norm


@_local_structure.register_fake
def _(
    x: Tensor,
    teacher: Tensor,
    ptr: Tensor,
    source: Tensor,
    target: Tensor,
    out_ptr: Tensor,
    out_target: Tensor,
    out_order: Tensor,
    kernel: str,
    unit: bool,
    sigma: float,
    degree: int,
    offset: float,
    reverse: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    norm = x.new_empty(ptr.size(0) - 1, 2, dtype=accumulation_dtype(x))
    return norm.new_empty(norm.size(0)), norm.new_empty(source.size(0)), norm


@operator("local_structure_backward")
def _local_structure_pull(
    grad: Tensor,
    kl: Tensor,
    values: Tensor,
    norm: Tensor,
    x: Tensor,
    teacher: Tensor,
    ptr: Tensor,
    source: Tensor,
    target: Tensor,
    out_ptr: Tensor,
    out_target: Tensor,
    out_order: Tensor,
    kernel: str,
    unit: bool,
    sigma: float,
    degree: int,
    offset: float,
    reverse: bool,
) -> Tensor:
    """Compute the gradient with respect to the features."""
    rows, wide = (ptr, source, target, out_ptr, out_target, out_order), x.to(values.dtype)
    p = log_probabilities(apply_kernel(values, kernel, sigma, degree, offset), norm, target)
    q = teacher.to(p.dtype)
    of_score = p.exp() * (p - q - kl.index_select(0, target)) if reverse else p.exp() - q.exp()
    weight = of_score * grad.index_select(0, target) * _slope(values, kernel, sigma, degree, offset)
    if PAIR_VALUES[kernel] == "l1":
        return _edge_l1_pull(weight, x, *rows)
    if unit:
        inverse = inverse_norms(x)
        along = inverse.square() * _edge_totals(weight * values, *rows)
        weight = weight * inverse.index_select(0, target) * inverse.index_select(0, source)
    pulled = _edge_spmm(weight, wide, *rows, False) + _edge_spmm(weight, wide, *rows, True)
    if unit:
        pulled -= along[:, None] * wide
    elif PAIR_VALUES[kernel] == "squared":
        pulled = 2 * (_edge_totals(weight, *rows)[:, None] * wide - pulled)
    return pulled.to(x.dtype)


def _slope(values: Tensor, kernel: str, sigma: float, degree: int, offset: float) -> Tensor:
    """Compute the derivative of ``apply_kernel``."""
    if kernel == "poly":
        return degree * (values + offset) ** (degree - 1)
    if kernel == "euclidean":
        return (values > 0) / (2 * torch.where(values > 0, values, 1).sqrt())
    scale = {"rbf": 2 * sigma, "laplacian": sigma}.get(kernel)
    return torch.ones_like(values) if scale is None else (-values / scale).exp() / -scale


@_local_structure_pull.register_fake
def _(
    grad: Tensor,
    kl: Tensor,
    values: Tensor,
    norm: Tensor,
    x: Tensor,
    *others: Any,
) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def _setup(ctx: Any, inputs: tuple, output: tuple) -> None:
    tensors, ctx.options = inputs[:8], inputs[8:]
    ctx.save_for_backward(*output, *tensors)
    ctx.mark_non_differentiable(*output[1:])


def _backward(ctx: Any, grad: Tensor, _: Tensor, __: Tensor) -> tuple:
    kl, values, norm, x, teacher, *rows = ctx.saved_tensors
    of_x = of_teacher = None
    if ctx.needs_input_grad[0]:
        of_x = _local_structure_pull(grad, kl, values, norm, x, teacher, *rows, *ctx.options)
    if ctx.needs_input_grad[1]:
        kernel, _, sigma, degree, offset, reverse = ctx.options
        target = rows[2]
        p = log_probabilities(apply_kernel(values, kernel, sigma, degree, offset), norm, target)
        share = -p.exp() if reverse else teacher.to(p.dtype).exp() * (teacher - p + 1)
        of_teacher = (grad.index_select(0, target) * share).to(teacher.dtype)
    return of_x, of_teacher, *NO_GRADIENT, *NO_GRADIENT


_local_structure.register_autograd(_backward, setup_context=_setup)
