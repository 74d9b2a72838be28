"""Contrasts of every anchor with all candidates, without an N x M matrix; ``sampled`` contrasts with sampled rows.

Each reduces the products of an anchor with its candidates to one number: a log-sum-exp (InfoNCE), a sum of softplus
(Jensen-Shannon) or a divergence from labels (projection matching). Backward computes the products again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from graphkd.kernels.checks import check_rows, check_vectors, check_widths
from graphkd.kernels.operators import accumulation_dtype, operator, row_blocks

_BLOCK_ELEMENTS = 1 << 24
LINEAR = 50.0  # softplus is linear to the last bit beyond


def product_logsumexp(anchor: Tensor, candidate: Tensor, scale: float = 1.0) -> Tensor:
    """Row-wise logsumexp_j(scale a_i . b_j): (N, p), (M, p) -> (N,), O(N M p) time, O(N p + M p + block) memory.

    Minus infinity, with gradient 0, where there are no candidates.
    """
    check_widths(anchor=anchor, candidate=candidate)
    values: Tensor = _product_logsumexp(anchor, candidate, scale)[0]
    return values


def product_logsumexp_reference(anchor: Tensor, candidate: Tensor, scale: float = 1.0) -> Tensor:
    """``product_logsumexp`` with the N x M matrix."""
    return (scale * anchor @ candidate.t()).logsumexp(dim=1)


def infonce(anchor: Tensor, candidate: Tensor, temperature: float) -> Tensor:
    """InfoNCE of anchor i with candidate i as its positive among all candidates: (N, p), (M >= N, p) -> (N,).

    -a_i . b_i / tau + log sum_j exp(a_i . b_j / tau); the positive is part of the sum. Raises ValueError for fewer
    candidates than anchors.
    """
    check_widths(anchor=anchor, candidate=candidate)
    if candidate.size(0) < anchor.size(0):
        raise ValueError(
            f"'candidate' must begin with the positive of each of the {anchor.size(0)} anchors, got {candidate.size(0)}"
        )
    wide = accumulation_dtype(anchor)
    anchor, candidate = anchor.to(wide), candidate.to(wide)  # two gradients are summed in each
    positive = (anchor * candidate[: anchor.size(0)]).sum(dim=1) / temperature
    return product_logsumexp(anchor, candidate, 1 / temperature) - positive


def product_softplus(anchor: Tensor, candidate: Tensor, own: Tensor, scale: float = 1.0) -> Tensor:
    """Row-wise sum over j != own_i of log(1 + exp(scale a_i . b_j)): (N, p), (M, p), (N,) -> (N,)."""
    check_widths(anchor=anchor, candidate=candidate)
    check_vectors(anchor.size(0), own=own)
    return _product_softplus(anchor, candidate, own, scale)


def product_softplus_reference(anchor: Tensor, candidate: Tensor, own: Tensor, scale: float = 1.0) -> Tensor:
    """``product_softplus`` with the N x M matrix."""
    others = torch.arange(candidate.size(0), device=own.device) != own[:, None]
    return (F.softplus(scale * anchor @ candidate.t()) * others).sum(dim=1)


def label_divergence(anchor: Tensor, candidate: Tensor, y: Tensor, hit: Tensor, miss: float) -> Tensor:
    """KL divergence of softmax_j(a_i . b_j) from exp(hit_i) where y_j = y_i and exp(miss) elsewhere.

    anchor, candidate: (N, p); y: (N,) integer labels; hit, (N,), and miss: log-probabilities, constants. Returns (N,).
    """
    check_widths(anchor=anchor, candidate=candidate)
    check_rows(anchor=anchor, candidate=candidate)
    check_vectors(anchor.size(0), y=y, hit=hit)
    return _label_divergence(anchor, candidate, y, hit.detach(), miss)


def label_divergence_reference(anchor: Tensor, candidate: Tensor, y: Tensor, hit: Tensor, miss: float) -> Tensor:
    """``label_divergence`` with the N x N matrix."""
    log_prob = (anchor @ candidate.t()).log_softmax(dim=1)
    target = torch.where(y[:, None] == y, hit.detach()[:, None], miss)
    return (log_prob.exp() * (log_prob - target)).sum(dim=1)


# ---------------------------------------------------------------- what all have in common
def _reduce(anchor: Tensor, candidate: Tensor, scale: float, reduction: Callable[[Tensor, slice], Tensor]) -> Tensor:
    """Reduce each row of scores to one number, in blocks of rows."""
    wide = accumulation_dtype(anchor)
    a, b = anchor.to(wide), candidate.to(wide)
    values = a.new_empty(a.size(0))
    for rows in row_blocks(a.size(0), b.size(0), _BLOCK_ELEMENTS, a.device):
        values[rows] = reduction((scale * a[rows]) @ b.t(), rows)
    return values


def _pull_blocks(
    grad: Tensor,
    anchor: Tensor,
    candidate: Tensor,
    scale: float,
    slope: Callable[[Tensor, slice], Tensor],
) -> tuple[Tensor, Tensor]:
    """Compute gradients of both sides; ``slope`` gets the same scores as the reduction in ``_reduce``."""
    wide = accumulation_dtype(anchor)
    a, b, grad = anchor.to(wide), candidate.to(wide), grad.to(wide)
    of_anchor, of_candidate = a.new_empty(a.shape), b.new_zeros(b.shape)
    for rows in row_blocks(a.size(0), b.size(0), _BLOCK_ELEMENTS, a.device):
        weight = slope((scale * a[rows]) @ b.t(), rows).mul_(scale * grad[rows, None])
        of_anchor[rows] = weight @ b
        of_candidate.addmm_(weight.t(), a[rows])
    return of_anchor.to(anchor.dtype), of_candidate.to(candidate.dtype)


def _fake_pull(grad: Tensor, anchor: Tensor, candidate: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    of_anchor, of_candidate = (torch.empty_like(t, memory_format=torch.contiguous_format) for t in (anchor, candidate))
    return of_anchor, of_candidate


def _per_anchor(anchor: Tensor, *_: Any) -> Tensor:
    return anchor.new_empty(anchor.size(0), dtype=accumulation_dtype(anchor))


# ---------------------------------------------------------------- log-sum-exp
@operator("product_logsumexp")
def _product_logsumexp(anchor: Tensor, candidate: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Compute the values (N,), and as (N, 2) the largest score m of a row and log sum exp(score - m).

    The gradient needs the two separately, since float32 would lose the logarithm beside scores of 1e8.
    """
    norm = anchor.new_full((anchor.size(0), 2), -torch.inf, dtype=accumulation_dtype(anchor))

    def reduction(scores: Tensor, rows: slice) -> Tensor:
        if scores.size(1):
            norm[rows, 0] = scores.amax(dim=1)
            norm[rows, 1] = scores.sub_(norm[rows, :1]).exp_().sum(dim=1).log_()
        return norm[rows].sum(dim=1)

    return _reduce(anchor, candidate, scale, reduction), norm


@_product_logsumexp.register_fake
def _(anchor: Tensor, candidate: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    values = _per_anchor(anchor)
    return values, values.new_empty(values.size(0), 2)


@operator("product_logsumexp_backward")
def _pull(grad: Tensor, anchor: Tensor, candidate: Tensor, norm: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    def slope(scores: Tensor, rows: slice) -> Tensor:
        # Rounding may lift a score above the largest one.
        return scores.sub_(norm[rows, :1]).clamp_max_(0).sub_(norm[rows, 1:]).exp_()

    return _pull_blocks(grad, anchor, candidate, scale, slope)


def _setup(ctx: Any, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
    anchor, candidate, ctx.scale = inputs
    ctx.save_for_backward(anchor, candidate, output[1])
    ctx.mark_non_differentiable(output[1])


def _backward(ctx: Any, grad: Tensor, _: Tensor | None) -> tuple:
    return *_pull(grad, *ctx.saved_tensors, ctx.scale), None


_pull.register_fake(_fake_pull)
_product_logsumexp.register_autograd(_backward, setup_context=_setup)


# ---------------------------------------------------------------- softplus of all but one
@operator("product_softplus")
def _product_softplus(anchor: Tensor, candidate: Tensor, own: Tensor, scale: float) -> Tensor:
    def reduction(scores: Tensor, rows: slice) -> Tensor:
        return F.softplus(_without(scores, own[rows]), threshold=LINEAR).sum(dim=1)

    return _reduce(anchor, candidate, scale, reduction)


def _without(scores: Tensor, own: Tensor) -> Tensor:
    return scores.scatter_(1, own[:, None], -torch.inf)


@operator("product_softplus_backward")
def _softplus_pull(grad: Tensor, anchor: Tensor, candidate: Tensor, own: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    def slope(scores: Tensor, rows: slice) -> Tensor:
        return _without(scores, own[rows]).sigmoid_()

    return _pull_blocks(grad, anchor, candidate, scale, slope)


def _softplus_setup(ctx: Any, inputs: tuple, output: Tensor) -> None:
    *tensors, ctx.scale = inputs
    ctx.save_for_backward(*tensors)


def _softplus_backward(ctx: Any, grad: Tensor) -> tuple:
    return *_softplus_pull(grad, *ctx.saved_tensors, ctx.scale), None, None


_product_softplus.register_fake(_per_anchor)
_softplus_pull.register_fake(_fake_pull)
_product_softplus.register_autograd(_softplus_backward, setup_context=_softplus_setup)


# ---------------------------------------------------------------- divergence from labels
@operator("label_divergence")
def _label_divergence(anchor: Tensor, candidate: Tensor, y: Tensor, hit: Tensor, miss: float) -> Tensor:
    def reduction(scores: Tensor, rows: slice) -> Tensor:
        log_prob = scores.log_softmax(dim=1)
        return (log_prob.exp() * (log_prob - _log_target(y, hit, miss, rows))).sum(dim=1)

    return _reduce(anchor, candidate, 1.0, reduction)


def _log_target(y: Tensor, hit: Tensor, miss: float, rows: slice) -> Tensor:
    return torch.where(y[rows, None] == y, hit[rows, None], miss)


@operator("label_divergence_backward")
def _label_pull(
    grad: Tensor, anchor: Tensor, candidate: Tensor, value: Tensor, y: Tensor, hit: Tensor, miss: float
) -> tuple[Tensor, Tensor]:
    def slope(scores: Tensor, rows: slice) -> Tensor:
        log_prob = scores.log_softmax(dim=1)
        excess = log_prob - _log_target(y, hit, miss, rows) - value[rows, None]
        return log_prob.exp_().mul_(excess)

    return _pull_blocks(grad, anchor, candidate, 1.0, slope)


def _label_setup(ctx: Any, inputs: tuple, output: Tensor) -> None:
    anchor, candidate, y, hit, ctx.miss = inputs
    ctx.save_for_backward(anchor, candidate, output, y, hit)


def _label_backward(ctx: Any, grad: Tensor) -> tuple:
    return *_label_pull(grad, *ctx.saved_tensors, ctx.miss), None, None, None


_label_divergence.register_fake(_per_anchor)
_label_pull.register_fake(_fake_pull)
_label_divergence.register_autograd(_label_backward, setup_context=_label_setup)
