"""InfoNCE over all candidates with a streamed log-sum-exp: no N x M matrix is kept, backward computes it again."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphkd.kernels.operators import accumulation_dtype, operator, row_blocks

_BLOCK_ELEMENTS = 1 << 24


def product_logsumexp(anchor: Tensor, candidate: Tensor, scale: float = 1.0) -> Tensor:
    """Row-wise logsumexp_j(scale a_i . b_j): (N, p), (M, p) -> (N,), O(N M p) time, O(N p + M p + block) memory."""
    if anchor.size(1) != candidate.size(1):
        raise ValueError(f"'candidate' must be as wide as 'anchor' ({anchor.size(1)}), got {candidate.size(1)}")
    return _product_logsumexp(anchor, candidate, scale)


def product_logsumexp_reference(anchor: Tensor, candidate: Tensor, scale: float = 1.0) -> Tensor:
    """``product_logsumexp`` with the N x M matrix."""
    return (scale * anchor @ candidate.t()).logsumexp(dim=1)


def infonce(anchor: Tensor, candidate: Tensor, temperature: float) -> Tensor:
    """InfoNCE of anchor i with candidate i as its positive among all candidates: (N, p), (M >= N, p) -> (N,).

    -a_i . b_i / tau + log sum_j exp(a_i . b_j / tau); the positive is part of the sum.
    """
    positive = (anchor * candidate[: anchor.size(0)]).sum(dim=1) / temperature
    return product_logsumexp(anchor, candidate, 1 / temperature) - positive


@operator("product_logsumexp")
def _product_logsumexp(anchor: Tensor, candidate: Tensor, scale: float) -> Tensor:
    wide = accumulation_dtype(anchor)
    a, b = anchor.to(wide), candidate.to(wide)
    lse = a.new_empty(a.size(0))
    for rows in row_blocks(a.size(0), b.size(0), _BLOCK_ELEMENTS):
        lse[rows] = ((scale * a[rows]) @ b.t()).logsumexp(dim=1)
    return lse


@_product_logsumexp.register_fake
def _(anchor: Tensor, candidate: Tensor, scale: float) -> Tensor:
    return anchor.new_empty(anchor.size(0), dtype=accumulation_dtype(anchor))


@operator("product_logsumexp_backward")
def _pull(grad: Tensor, anchor: Tensor, candidate: Tensor, lse: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    wide = accumulation_dtype(anchor)
    a, b, lse, grad = (t.to(wide) for t in (anchor, candidate, lse, grad))
    of_anchor, of_candidate = torch.empty_like(a), torch.zeros_like(b)
    for rows in row_blocks(a.size(0), b.size(0), _BLOCK_ELEMENTS):
        weight = torch.addmm(-lse[rows, None], a[rows], b.t(), alpha=scale).exp_().mul_(scale * grad[rows, None])
        of_anchor[rows] = weight @ b
        of_candidate.addmm_(weight.t(), a[rows])
    return of_anchor.to(anchor.dtype), of_candidate.to(candidate.dtype)


@_pull.register_fake
def _(grad: Tensor, anchor: Tensor, candidate: Tensor, lse: Tensor, scale: float) -> tuple[Tensor, ...]:
    return tuple(torch.empty_like(t, memory_format=torch.contiguous_format) for t in (anchor, candidate))


def _setup(ctx: Any, inputs: tuple, output: Tensor) -> None:
    anchor, candidate, ctx.scale = inputs
    ctx.save_for_backward(anchor, candidate, output)


def _backward(ctx: Any, grad: Tensor) -> tuple:
    return *_pull(grad, *ctx.saved_tensors, ctx.scale), None


_product_logsumexp.register_autograd(_backward, setup_context=_setup)
