"""Inner products of rows with the rows that their lists name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import scipy.sparse
import torch
from torch import Tensor

from graphkd.core.csr import csr
from graphkd.kernels.checks import check_widths
from graphkd.kernels.edges.layout import EdgeLayout, by_column
from graphkd.kernels.edges.products import edge_dot
from graphkd.kernels.functions import differentiable_once
from graphkd.kernels.operators import accumulation_dtype, wants_gradient


def list_dot(one: Tensor, many: Tensor, lists: Tensor) -> Tensor:
    """Inner products <one_r, many_j> for every j in the list of row r: (R, d), (N, d), (R, M) ids -> (R, M).

    O(R M d) time and O(R M) memory, also for gradients; in float32 at least. Ids must be in ``range(N)``: they are not
    checked. Lists change with every batch, so on a CPU they are not sorted: the gradient of ``many`` is summed list by
    list.
    """
    check_widths(one=one, many=many)
    if one.device.type == "cpu" and not torch.compiler.is_compiling():
        apply: Callable[..., Tensor] = _ListDot.apply
        return apply(one, many, lists)
    layout = _layout(lists, many.size(0), backward=wants_gradient(one) or wants_gradient(many))
    return edge_dot(one, many, layout).view(lists.shape)


def list_dot_reference(one: Tensor, many: Tensor, lists: Tensor) -> Tensor:
    """``list_dot`` with both sides gathered."""
    return (one[:, None] * many[lists]).sum(dim=2)


class _ListDot(torch.autograd.Function):
    """Autograd function: dispatching a custom operator, 0.1 ms a call, would take as long as a batch's product."""

    @staticmethod
    def forward(ctx: Any, one: Tensor, many: Tensor, lists: Tensor) -> Tensor:
        wide = accumulation_dtype(one)
        x, y = one.to(wide).contiguous(), many.to(wide).contiguous()
        ptr, ids = _compressed(lists)
        ctx.save_for_backward(one, many, ptr, ids)
        if lists.size(1) > y.size(0):  # more duplicates than a CSR matrix may hold; all products are fewer
            return torch.mm(x, y.t()).gather(1, lists.long())
        pattern = csr(ptr, ids, x.new_zeros(ids.size(0)), (x.size(0), y.size(0)))
        return torch.sparse.sampled_addmm(pattern, x, y.t(), beta=0.0).values().view(lists.shape)

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        one, many, ptr, ids = ctx.saved_tensors
        wide, grad = grad.dtype, grad.reshape(-1)
        grad_one = grad_many = None
        if ctx.needs_input_grad[0]:
            x = torch.zeros(one.shape, dtype=wide)
            torch.addmm(x, csr(ptr, ids, grad, (x.size(0), many.size(0))), many.to(wide).contiguous(), out=x)
            grad_one = x.to(one.dtype)
        if ctx.needs_input_grad[1]:
            parts = (part.numpy() for part in (grad, ids, ptr))
            turned = scipy.sparse.csc_array(tuple(parts), shape=(many.size(0), one.size(0)))
            grad_many = torch.from_numpy(turned @ one.to(wide).contiguous().numpy()).to(many.dtype)
        return grad_one, grad_many, None


def _compressed(lists: Tensor) -> tuple[Tensor, Tensor]:
    """Convert lists to compressed rows: pointers (R + 1,) and ids (R M,), int32."""
    count, length = lists.shape
    ptr = torch.arange(count + 1, dtype=torch.int32, device=lists.device).mul_(length)
    return ptr, lists.reshape(-1).int()


def _layout(lists: Tensor, size: int, *, backward: bool) -> EdgeLayout:
    """Convert lists to the compressed rows of a bipartite graph; only ``backward`` needs the other direction."""
    ptr, source = _compressed(lists)
    nothing = source.new_empty(0)
    if not backward:
        return EdgeLayout(ptr, source, nothing, nothing, nothing, nothing, nothing)
    return EdgeLayout(ptr, source, nothing, nothing, *by_column(ptr, source, size))
