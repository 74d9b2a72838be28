"""The log-sum-exp of every anchor over sampled rows of a memory (InfoNCE against a memory bank)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphkd.kernels.candidates import reduce_sampled
from graphkd.kernels.contrast import _check_widths, _sampled_pull
from graphkd.kernels.operators import accumulation_dtype, operator


def sampled_logsumexp(anchor: Tensor, memory: Tensor, index: Tensor, scale: float = 1.0) -> Tensor:
    """Row-wise logsumexp over k of scale a_i . m_index(i,k): (N, p), (n, p), (N, K >= 1) -> (N,).

    The memory is constant: it gets no gradient, and may change before backward. Where it has few rows beside the
    samples, all are scored once: O(N n p) time, else O(N K p); O(N p + block) memory.
    """
    _check_widths(anchor, memory)
    if index.size(1) == 0:
        raise ValueError("'index' must name one row of the memory at least, got 0 columns")
    values: Tensor = _sampled_logsumexp(anchor, memory.detach(), index, scale)[0]
    return values


def sampled_logsumexp_reference(anchor: Tensor, memory: Tensor, index: Tensor, scale: float = 1.0) -> Tensor:
    """``sampled_logsumexp`` with the N x K x p candidates."""
    return (scale * (anchor[:, None] * memory[index].detach()).sum(dim=2)).logsumexp(dim=1)


@operator("sampled_logsumexp")
def _sampled_logsumexp(anchor: Tensor, memory: Tensor, index: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """The values (N,), and their gradients with respect to the anchors (N, p)."""

    def reduction(scores: Tensor, often: Tensor) -> tuple[Tensor, Tensor]:
        scores.add_(often.log())  # minus infinity where a row was not sampled
        return scores.logsumexp(dim=1), scores.softmax(dim=1)

    return reduce_sampled(anchor, memory, index, scale, reduction)


@_sampled_logsumexp.register_fake
def _(anchor: Tensor, memory: Tensor, index: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    wide = accumulation_dtype(anchor)
    slope = torch.empty_like(anchor, dtype=wide, memory_format=torch.contiguous_format)
    return anchor.new_empty(anchor.size(0), dtype=wide), slope


def _setup(ctx: Any, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(output[1], inputs[0])


def _backward(ctx: Any, grad: Tensor, _: Tensor | None) -> tuple:
    return _sampled_pull(grad, *ctx.saved_tensors), None, None, None


_sampled_logsumexp.register_autograd(_backward, setup_context=_setup)
