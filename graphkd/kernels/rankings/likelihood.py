"""Log-probability of rankings: running sums of exp, from the last place to the first."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from graphkd.kernels.checks import check_matrices, check_vectors
from graphkd.kernels.operators import accumulation_dtype, operator

_REACH = {torch.float32: 60.0, torch.float64: 600.0}  # exp(-reach) is far above the smallest positive number


def ranking_log_likelihood(scores: Tensor, rest: Tensor, floor: float = 0.0) -> Tensor:
    """Log-probability of rankings (Plackett-Luce), best first, among further candidates whose order is left open.

    sum_k [s_k - log max(sum_{i >= k} exp s_i + exp rest, floor)]; scores: (R, K), rest: (R,) logarithms of the sums of
    exp over the further candidates, -inf for none -> (R,). Computed in log space: finite for any finite scores. O(R K).
    """
    check_matrices(scores=scores)
    check_vectors(scores.size(0), rest=rest)
    if scores.size(1) == 0:  # nothing is ranked: certain
        return scores.sum(dim=1, dtype=accumulation_dtype(scores))
    value: Tensor = _ranking_log_likelihood(scores, rest, floor)[0]
    return value


def ranking_log_likelihood_reference(scores: Tensor, rest: Tensor, floor: float = 0.0) -> Tensor:
    """``ranking_log_likelihood``, a place at a time."""
    total = scores.new_zeros(scores.size(0))
    for place in range(scores.size(1)):
        left = torch.cat([scores[:, place:], rest[:, None]], dim=1).logsumexp(dim=1)
        total = total + scores[:, place] - (left if floor == 0 else left.clamp_min(math.log(floor)))
    return total


@operator("ranking_log_likelihood")
def _ranking_log_likelihood(scores: Tensor, rest: Tensor, floor: float) -> tuple[Tensor, Tensor]:
    wide = accumulation_dtype(scores)
    scores, rest = scores.to(wide), rest.to(wide)
    peak = torch.maximum(scores.amax(dim=1), rest)
    last = torch.maximum(scores[:, -1], rest)  # bounds the smallest sum, that of the last place
    if bool((last > peak - _REACH[wide]).all()):
        ahead = (scores - peak[:, None]).exp_().flip(1).cumsum(dim=1).flip(1)
        denominators = ahead.add_((rest - peak).exp_()[:, None]).log_().add_(peak[:, None])
    else:  # several times slower, for scores that are far apart
        denominators = torch.logaddexp(scores.flip(1).logcumsumexp(dim=1).flip(1), rest[:, None])
    if floor > 0:
        denominators.clamp_min_(math.log(floor))
    return (scores - denominators).sum(dim=1), denominators


@_ranking_log_likelihood.register_fake
def _(scores: Tensor, rest: Tensor, floor: float) -> tuple[Tensor, Tensor]:
    wide = accumulation_dtype(scores)
    return scores.new_empty(scores.size(0), dtype=wide), scores.new_empty(scores.shape, dtype=wide)


def _setup(ctx: Any, inputs: tuple, output: tuple) -> None:
    scores, rest, ctx.floor = inputs
    ctx.save_for_backward(scores, rest, output[1])
    ctx.mark_non_differentiable(output[1])


def _backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple:
    scores, rest, denominators = ctx.saved_tensors
    of_scores, of_rest = _ranking_backward(scores, rest, denominators, ctx.floor)
    return (of_scores * grad[:, None]).to(scores.dtype), (of_rest * grad).to(rest.dtype), None


@operator("ranking_log_likelihood_backward")
def _ranking_backward(scores: Tensor, rest: Tensor, denominators: Tensor, floor: float) -> tuple[Tensor, Tensor]:
    """Derivatives by s_i, 1 - sum_{k <= i} exp(s_i) / D_k, and by the rest, - sum_k exp(rest) / D_k."""
    scores, rest = scores.to(denominators.dtype).contiguous(), rest.to(denominators.dtype)
    if floor > 0:  # a clamped denominator is a constant
        denominators = denominators.masked_fill(denominators <= math.log(floor), torch.inf)
    first, least = denominators[:, :1], denominators.amin(dim=1, keepdim=True)
    if bool((first.isfinite() & (first - least < _REACH[denominators.dtype])).all()):
        shares = (first - denominators).exp_().cumsum(dim=1)
        of_rest = (rest[:, None] - first).exp_() * shares[:, -1:]
        return ((scores - first).exp_() * shares).neg_().add_(1), of_rest.squeeze(1).neg_()
    shares = (-denominators).logcumsumexp(dim=1)
    return 1 - (scores + shares).exp(), -(rest + shares[:, -1]).exp()


@_ranking_backward.register_fake
def _(scores: Tensor, rest: Tensor, denominators: Tensor, floor: float) -> tuple[Tensor, Tensor]:
    return torch.empty_like(denominators), rest.new_empty(rest.shape, dtype=denominators.dtype)


_ranking_log_likelihood.register_autograd(_backward, setup_context=_setup)
