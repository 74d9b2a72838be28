"""Products of anchors with sampled rows of a memory, reduced to one number an anchor; the body of several operators."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from graphkd.kernels.operators import accumulation_dtype, row_blocks

_GATHERED = 1 << 22  # elements of candidates gathered at a time
_DENSE = 16  # below so many rows of memory for each sampled one, products with all are faster than gathering


def reduce_sampled(
    anchor: Tensor,
    memory: Tensor,
    index: Tensor,
    scale: float,
    reduction: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
) -> tuple[Tensor, Tensor]:
    """One number a row of scores (N,), and its gradient with respect to the anchor (N, p).

    ``reduction`` gets scores and how often each counts; it returns the numbers and their slopes.
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
