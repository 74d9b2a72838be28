"""Log-probability of rankings above further candidates that are given one by one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphkd.kernels.checks import check_matrices
from graphkd.kernels.functions import differentiable_once
from graphkd.kernels.operators import accumulation_dtype
from graphkd.kernels.rankings.likelihood import (
    _ranking_backward,
    _ranking_log_likelihood,
    ranking_log_likelihood,
    ranking_log_likelihood_reference,
)


def relaxed_log_likelihood(scores: Tensor, others: Tensor) -> Tensor:
    """``ranking_log_likelihood`` of rankings (R, K), best first, above candidates (R, L) of open order -> (R,).

    In float32 at least. On a CPU value and gradient are computed together, in half the time of one after the other.
    """
    check_matrices(scores=scores, others=others)
    if scores.device.type != "cpu" or scores.size(1) == 0 or torch.compiler.is_compiling():
        return ranking_log_likelihood(scores, others.to(accumulation_dtype(others)).logsumexp(dim=1))
    value: Tensor = _Relaxed.apply(scores, others)  # type: ignore[no-untyped-call]
    return value


def relaxed_log_likelihood_reference(scores: Tensor, others: Tensor) -> Tensor:
    """``relaxed_log_likelihood``, a place at a time."""
    return ranking_log_likelihood_reference(scores, others.logsumexp(dim=1))


class _Relaxed(torch.autograd.Function):
    """Autograd function: dispatching four custom operators a batch would take as long as they run."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, others: Tensor) -> Tensor:
        wide = others.to(accumulation_dtype(others))
        rest = wide.logsumexp(dim=1)
        value, denominators = _ranking_log_likelihood.aten(scores, rest, 0.0)
        if any(ctx.needs_input_grad):
            of_scores, of_rest = _ranking_backward.aten(scores, rest, denominators, 0.0)
            of_others = (wide - rest[:, None]).exp_().mul_(of_rest[:, None])
            ctx.save_for_backward(scores, others, of_scores, of_others)
        return value

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        scores, others, of_scores, of_others = ctx.saved_tensors
        grad = grad[:, None]
        return (of_scores * grad).to(scores.dtype), (of_others * grad).to(others.dtype)
