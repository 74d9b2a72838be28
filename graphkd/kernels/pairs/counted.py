"""Contrasts of every anchor with all rows of a memory, weighted by counts; ``sampled`` takes ids of rows instead.

The memory is constant, so the forward pass computes the anchor's gradient too, but only where it may be requested.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from graphkd.kernels.checks import check_rows, check_widths
from graphkd.kernels.operators import accumulation_dtype, operator, row_blocks, wants_gradient
from graphkd.kernels.pairs.contrast import LINEAR
from graphkd.kernels.pairs.sampled import sampled_pull

_BLOCK, _ROWS = 1 << 18, 64  # scores of a block, which stay in cache; its least rows, for fast products
_SAFE = 40.0  # scores up to this need no maximum subtracted: their exponentials are 1e-17 to 1e17


def counted_logsumexp(anchor: Tensor, memory: Tensor, counts: Tensor, scale: float = 1.0) -> Tensor:
    """Row-wise log of sum_j c_ij exp(scale a_i . m_j): (N, p), (n, p), (N, n) -> (N,); -inf where all counts are 0.

    Memory and counts (at least 0) are constants: they get no gradient, and may change before backward. O(N n p) time,
    O(N p + block) memory.
    """
    _check(anchor, memory, counts)
    values: Tensor = _counted_logsumexp(anchor, memory.detach(), counts.detach(), scale, wants_gradient(anchor))[0]
    return values


def counted_logsumexp_reference(anchor: Tensor, memory: Tensor, counts: Tensor, scale: float = 1.0) -> Tensor:
    """``counted_logsumexp`` with the N x n scores."""
    return (scale * anchor @ memory.detach().t() + counts.to(anchor.dtype).log()).logsumexp(dim=1)


def counted_softplus(anchor: Tensor, memory: Tensor, counts: Tensor, shift: Tensor, scale: float = 1.0) -> Tensor:
    """Row-wise sum_j c_ij log(1 + exp(scale a_i . m_j + shift)): (N, p), (n, p), (N, n), () -> (N,).

    Memory, counts (at least 0) and shift are constants: they get no gradient, and may change before backward. O(N n p)
    time, O(N p + block) memory.
    """
    _check(anchor, memory, counts)
    constants = memory.detach(), counts.detach(), shift.detach()
    values: Tensor = _counted_softplus(anchor, *constants, scale, wants_gradient(anchor))[0]
    return values


def counted_softplus_reference(
    anchor: Tensor, memory: Tensor, counts: Tensor, shift: Tensor, scale: float = 1.0
) -> Tensor:
    """``counted_softplus`` with the N x n scores."""
    scores = scale * anchor @ memory.detach().t() + shift.detach()
    return (F.softplus(scores, threshold=LINEAR) * counts).sum(dim=1)


def _check(anchor: Tensor, memory: Tensor, counts: Tensor) -> None:
    check_widths(anchor=anchor, memory=memory)
    check_rows(anchor=anchor, counts=counts)
    if counts.size(1) != memory.size(0):
        raise ValueError(
            f"'counts' must have a column for each of the {memory.size(0)} rows of 'memory', got {counts.size(1)}"
        )


# ---------------------------------------------------------------- what both have in common
def _reduce(
    anchor: Tensor,
    memory: Tensor,
    counts: Tensor,
    pulled: bool,
    reduction: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
) -> tuple[Tensor, Tensor]:
    """Reduce each row of products to one number (N,), and with ``pulled`` its gradient by the anchor (N, p).

    ``reduction`` takes the products and their counts; it returns the numbers and their slopes.
    """
    values, slope = _outputs(anchor, pulled)
    for rows in row_blocks(anchor.size(0), memory.size(0), _BLOCK, anchor.device, _ROWS):
        values[rows], slopes = reduction(anchor[rows] @ memory.t(), counts[rows])
        if pulled:
            slope[rows] = slopes @ memory
    return values, slope


def _outputs(anchor: Tensor, pulled: bool) -> tuple[Tensor, Tensor]:
    wide, (rows, width) = accumulation_dtype(anchor), anchor.shape
    return anchor.new_empty(rows, dtype=wide), anchor.new_empty(rows if pulled else 0, width, dtype=wide)


def _safe(anchor: Tensor, memory: Tensor, shift: Tensor | float = 0.0) -> bool:
    """Tell whether no score can be large; False on a GPU, where checking would wait for the device."""
    if anchor.device.type != "cpu" or not (anchor.numel() and memory.numel()):
        return False
    largest = anchor.norm(dim=1).max() * memory.norm(dim=1).max()
    return bool(largest + abs(shift) < _SAFE)


def _setup(ctx: Any, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(output[1], inputs[0])
    ctx.constants = len(inputs) - 1
    ctx.mark_non_differentiable(output[1])


def _backward(ctx: Any, grad: Tensor, _: Tensor | None) -> tuple:
    return sampled_pull(grad, *ctx.saved_tensors), *(None,) * ctx.constants


# ---------------------------------------------------------------- log-sum-exp
@operator("counted_logsumexp")
def _counted_logsumexp(
    anchor: Tensor, memory: Tensor, counts: Tensor, scale: float, pulled: bool
) -> tuple[Tensor, Tensor]:
    """Compute the values (N,), and their gradients with respect to the anchors (N, p)."""
    wide = accumulation_dtype(anchor)
    scaled, known = scale * anchor.to(wide), memory.to(wide)
    reduction = _sum_of_exp if _safe(scaled, known) else _logsumexp
    values, slope = _reduce(scaled, known, counts, pulled, reduction)
    return values, slope.mul_(scale)


def _sum_of_exp(scores: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    return _normalised(scores.exp_().mul_(counts))


def _logsumexp(scores: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Compute log-sum-exp below the largest score of count above 0; below a larger one, its terms could underflow."""
    scores.masked_fill_(counts == 0, -torch.inf)
    peak = scores.amax(dim=1) if scores.size(1) else scores.new_full((scores.size(0),), -torch.inf)
    peak = peak.nan_to_num(nan=torch.nan, posinf=torch.inf)  # finite where all counts are 0
    values, share = _normalised(scores.sub_(peak[:, None]).exp_().mul_(counts))
    return values.add_(peak), share


def _normalised(share: Tensor) -> tuple[Tensor, Tensor]:
    """Return the logarithms of the rows' sums, and the rows divided by their sums."""
    total = share.sum(dim=1)
    return total.log(), share.div_(total.clamp_min(torch.finfo(total.dtype).tiny)[:, None])


# ---------------------------------------------------------------- softplus
@operator("counted_softplus")
def _counted_softplus(
    anchor: Tensor, memory: Tensor, counts: Tensor, shift: Tensor, scale: float, pulled: bool
) -> tuple[Tensor, Tensor]:
    """Compute the sums (N,), and their gradients with respect to the anchors (N, p)."""
    wide = accumulation_dtype(anchor)
    scaled, known = scale * anchor.to(wide), memory.to(wide)

    def reduction(scores: Tensor, often: Tensor) -> tuple[Tensor, Tensor]:
        return (_log_of_exp if safe else _softplus)(scores.add_(shift), often)

    safe = _safe(scaled, known, shift)
    values, slope = _reduce(scaled, known, counts, pulled, reduction)
    return values, slope.mul_(scale)


def _log_of_exp(scores: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    odds = scores.exp_()
    values = odds.log1p().mul_(counts).sum(dim=1)
    return values, odds.div_(odds + 1).mul_(counts)


def _softplus(scores: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    values = F.softplus(scores, threshold=LINEAR).mul_(counts).sum(dim=1)
    return values, scores.sigmoid_().mul_(counts)


# ---------------------------------------------------------------- registration
def _fake_values(anchor: Tensor, *others: Any) -> tuple[Tensor, Tensor]:
    return _outputs(anchor, others[-1])


for _operator in (_counted_logsumexp, _counted_softplus):
    _operator.register_fake(_fake_values)
    _operator.register_autograd(_backward, setup_context=_setup)
