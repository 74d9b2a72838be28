"""Contrasts of every anchor with sampled rows of a memory: a log-sum-exp (InfoNCE), a sum of softplus (NCE).

The memory is constant, so the forward pass computes the anchor's gradient too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from graphkd.kernels.checks import check_rows, check_widths
from graphkd.kernels.operators import accumulation_dtype, operator, row_blocks
from graphkd.kernels.pairs.contrast import LINEAR

_GATHERED = 1 << 22  # elements of candidates gathered at a time
_DENSE = 16  # with fewer rows of memory per sampled row, products with all rows are faster than gathering


def sampled_logsumexp(anchor: Tensor, memory: Tensor, index: Tensor, scale: float = 1.0) -> Tensor:
    """Row-wise logsumexp over k of scale a_i . m_index(i,k): (N, p), (n, p), (N, K >= 1) -> (N,).

    The memory is constant: it gets no gradient, and may change before backward. If it has few rows compared with the
    samples, all rows are scored once: O(N n p) time, else O(N K p); O(N p + block) memory.
    """
    _check(anchor, memory, index)
    if index.size(1) == 0:
        raise ValueError("'index' must name one row of the memory at least, got 0 columns")
    values: Tensor = _sampled_logsumexp(anchor, memory.detach(), index, scale)[0]
    return values


def sampled_logsumexp_reference(anchor: Tensor, memory: Tensor, index: Tensor, scale: float = 1.0) -> Tensor:
    """``sampled_logsumexp`` with the N x K x p candidates."""
    return (scale * (anchor[:, None] * memory[index].detach()).sum(dim=2)).logsumexp(dim=1)


def sampled_softplus(anchor: Tensor, memory: Tensor, index: Tensor, shift: Tensor, scale: float = 1.0) -> Tensor:
    """Row-wise sum over k of log(1 + exp(scale a_i . m_index(i,k) + shift)): (N, p), (n, p), (N, K), () -> (N,).

    Memory and shift are constants: they get no gradient, and the memory may change before backward. O(N K p) time, or
    O(N n p) where that is faster; O(N p + block) memory.
    """
    _check(anchor, memory, index)
    return _sampled_softplus(anchor, memory.detach(), index, shift.detach(), scale)[0]


def sampled_softplus_reference(
    anchor: Tensor, memory: Tensor, index: Tensor, shift: Tensor, scale: float = 1.0
) -> Tensor:
    """``sampled_softplus`` with the N x K x p candidates."""
    scores = (anchor[:, None] * memory[index].detach()).sum(dim=2)
    return F.softplus(scale * scores + shift.detach()).sum(dim=1)


def _check(anchor: Tensor, memory: Tensor, index: Tensor) -> None:
    check_widths(anchor=anchor, memory=memory)
    check_rows(anchor=anchor, index=index)


# ---------------------------------------------------------------- what both have in common
def _reduce(
    anchor: Tensor,
    memory: Tensor,
    index: Tensor,
    scale: float,
    reduction: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
) -> tuple[Tensor, Tensor]:
    """Reduce each row of scores to one number (N,), with its gradient with respect to the anchor (N, p).

    ``reduction`` takes the scores and their counts; it returns the numbers and their slopes.
    """
    wide = accumulation_dtype(anchor)
    a, held, samples = scale * anchor.to(wide), memory.size(0), index.size(1)
    values, slope = a.new_empty(a.size(0)), torch.empty_like(a, memory_format=torch.contiguous_format)
    dense, once = held <= _DENSE * samples, a.new_ones(())
    known = memory.to(wide) if dense else memory
    for rows in row_blocks(a.size(0), held + samples if dense else samples * a.size(1), _GATHERED, a.device):
        if dense:
            scores = a[rows] @ known.t()
            often = torch.zeros_like(scores).scatter_add_(1, index[rows], once.expand_as(index[rows]))
            values[rows], slopes = reduction(scores, often)
            slope[rows] = slopes @ known
        else:
            chosen = known.index_select(0, index[rows].flatten()).to(wide).view(-1, samples, a.size(1))
            values[rows], slopes = reduction((a[rows, None] @ chosen.mT).squeeze(1), once)
            slope[rows] = (slopes[:, None] @ chosen).squeeze(1)
    return values, slope.mul_(scale)


@operator("sampled_backward")
def sampled_pull(grad: Tensor, slope: Tensor, anchor: Tensor) -> Tensor:
    """Compute the gradient of the anchors from that of their values (N,), whose slopes (N, p) are known."""
    return (grad[:, None] * slope).to(anchor.dtype)


@sampled_pull.register_fake
def _(grad: Tensor, slope: Tensor, anchor: Tensor) -> Tensor:
    return torch.empty_like(anchor, memory_format=torch.contiguous_format)


def _setup(ctx: Any, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(output[1], inputs[0])


def _fake_values(anchor: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    wide = accumulation_dtype(anchor)
    slope = torch.empty_like(anchor, dtype=wide, memory_format=torch.contiguous_format)
    return anchor.new_empty(anchor.size(0), dtype=wide), slope


# ---------------------------------------------------------------- softplus
@operator("sampled_softplus")
def _sampled_softplus(
    anchor: Tensor, memory: Tensor, index: Tensor, shift: Tensor, scale: float
) -> tuple[Tensor, Tensor]:
    """Compute the sums (N,), and their gradients with respect to the anchors (N, p)."""

    def reduction(scores: Tensor, often: Tensor) -> tuple[Tensor, Tensor]:
        scores.add_(shift)
        return (often * F.softplus(scores, threshold=LINEAR)).sum(dim=1), scores.sigmoid_().mul_(often)

    return _reduce(anchor, memory, index, scale, reduction)


def _softplus_backward(ctx: Any, grad: Tensor, _: Tensor | None) -> tuple:
    return sampled_pull(grad, *ctx.saved_tensors), None, None, None, None


_sampled_softplus.register_fake(_fake_values)
_sampled_softplus.register_autograd(_softplus_backward, setup_context=_setup)


# ---------------------------------------------------------------- log-sum-exp
@operator("sampled_logsumexp")
def _sampled_logsumexp(anchor: Tensor, memory: Tensor, index: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Compute the values (N,), and their gradients with respect to the anchors (N, p)."""

    def reduction(scores: Tensor, often: Tensor) -> tuple[Tensor, Tensor]:
        scores.add_(often.log())  # minus infinity where a row was not sampled
        return scores.logsumexp(dim=1), scores.softmax(dim=1)

    return _reduce(anchor, memory, index, scale, reduction)


def _logsumexp_backward(ctx: Any, grad: Tensor, _: Tensor | None) -> tuple:
    return sampled_pull(grad, *ctx.saved_tensors), None, None, None


_sampled_logsumexp.register_fake(_fake_values)
_sampled_logsumexp.register_autograd(_logsumexp_backward, setup_context=_setup)
