"""Log-softmax over the edges that enter each node, and divergences between two such distributions."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from graphkd.kernels.checks import check_vectors
from graphkd.kernels.edges.layout import EdgeLayout
from graphkd.kernels.operators import accumulation_dtype, operator

_NARROW = 4.0  # in a range of scores up to this, one common maximum costs a few units in the last place


def segment_log_softmax(scores: Tensor, layout: EdgeLayout) -> Tensor:
    """Log-softmax over the edges entering each target, u_e - logsumexp: (E,) -> (E,), never log(0)."""
    check_vectors(layout.num_edges, scores=scores)
    return _segment_log_softmax(scores, layout.ptr, layout.target)


def segment_log_softmax_reference(scores: Tensor, layout: EdgeLayout) -> Tensor:
    """``segment_log_softmax``, a node at a time."""
    bounds = layout.ptr.tolist()
    return torch.cat([scores[a:b].log_softmax(0) for a, b in pairwise(bounds)])


def edge_kl(student: Tensor, teacher_log_prob: Tensor, layout: EdgeLayout, *, reverse: bool = False) -> Tensor:
    """KL divergence of the in-edge distributions of every node, (E,), (E,) -> (N,); 0 for a node without in-edges.

    student: similarities u, not yet normalised; teacher_log_prob: log-probabilities (``segment_log_softmax``).
    KL(teacher || student) = sum_j p_t (log p_t - u + logsumexp u); ``reverse``: KL(student || teacher).
    """
    check_vectors(layout.num_edges, student=student, teacher_log_prob=teacher_log_prob)
    return _edge_kl(student, teacher_log_prob, layout.ptr, layout.target, reverse)


def edge_kl_reference(
    student: Tensor, teacher_log_prob: Tensor, layout: EdgeLayout, *, reverse: bool = False
) -> Tensor:
    """``edge_kl``, a node at a time."""
    student = segment_log_softmax_reference(student, layout)
    p, q = (student, teacher_log_prob) if reverse else (teacher_log_prob, student)
    terms = p.exp() * (p - q)
    bounds = layout.ptr.tolist()
    return torch.stack([terms[a:b].sum() for a, b in pairwise(bounds)])


def segment_sum(values: Tensor, ptr: Tensor) -> Tensor:
    """Sum consecutive edge values between the pointers, (E,) -> (N,)."""
    if values.numel() == 0:
        return values.new_zeros(ptr.size(0) - 1)
    return torch.segment_reduce(values, "sum", offsets=ptr, initial=0)


@operator("segment_sum")
def _segment_sum(values: Tensor, ptr: Tensor, target: Tensor) -> Tensor:
    return segment_sum(values, ptr)


@_segment_sum.register_fake
def _(values: Tensor, ptr: Tensor, target: Tensor) -> Tensor:
    return values.new_empty(ptr.size(0) - 1)


def _segment_sum_setup(ctx: Any, inputs: tuple, output: Tensor) -> None:
    ctx.save_for_backward(inputs[2])


def _segment_sum_backward(ctx: Any, grad: Tensor) -> tuple:
    return grad.index_select(0, ctx.saved_tensors[0]), None, None


_segment_sum.register_autograd(_segment_sum_backward, setup_context=_segment_sum_setup)


def normaliser(scores: Tensor, ptr: Tensor, target: Tensor) -> Tensor:
    """Compute, per node, the largest score m of its in-edges and log sum exp(score - m): (E,) -> (N, 2).

    The two are not added, since float32 would lose the logarithm beside scores of 1e8. Minus infinity where no edge
    enters.
    """
    if scores.numel() == 0:
        return scores.new_full((ptr.size(0) - 1, 2), -torch.inf)
    peak = torch.segment_reduce(scores, "max", offsets=ptr, initial=-torch.inf)
    total = segment_sum((scores - peak.index_select(0, target)).exp_(), ptr)
    return torch.stack([peak, total.log_()], dim=1)


def log_probabilities(scores: Tensor, norm: Tensor, target: Tensor) -> Tensor:
    """Subtract from each score the ``normaliser`` of its target: (E,), (N, 2) -> (E,)."""
    return (scores - norm[:, 0].index_select(0, target)).sub_(norm[:, 1].index_select(0, target))


def _normalised(scores: Tensor, ptr: Tensor, target: Tensor) -> Tensor:
    """Compute log-probabilities of scores; if all are close, as cosines are, every node uses the overall maximum."""
    if scores.device.type == "cpu" and scores.numel() > 0:
        low, high = scores.aminmax()
        if high - low <= _NARROW:
            below = scores - high
            return below.sub_(segment_sum(below.exp(), ptr).log_().index_select(0, target))
    return log_probabilities(scores, normaliser(scores, ptr, target), target)


@operator("segment_log_softmax")
def _segment_log_softmax(scores: Tensor, ptr: Tensor, target: Tensor) -> Tensor:
    wide = scores.to(accumulation_dtype(scores))
    return _normalised(wide, ptr, target)


@_segment_log_softmax.register_fake
def _(scores: Tensor, ptr: Tensor, target: Tensor) -> Tensor:
    return torch.empty_like(scores, dtype=accumulation_dtype(scores))


def _log_softmax_setup(ctx: Any, inputs: tuple, output: Tensor) -> None:
    ctx.save_for_backward(output, *inputs[1:])


def _log_softmax_backward(ctx: Any, grad: Tensor) -> tuple:
    log_prob, ptr, target = ctx.saved_tensors
    total = _segment_sum(grad, ptr, target)
    return grad - log_prob.exp() * total.index_select(0, target), None, None


_segment_log_softmax.register_autograd(_log_softmax_backward, setup_context=_log_softmax_setup)


@operator("edge_kl")
def _edge_kl(student: Tensor, teacher: Tensor, ptr: Tensor, target: Tensor, reverse: bool) -> Tensor:
    u, q = (t.to(accumulation_dtype(student)) for t in (student, teacher))
    p = _normalised(u, ptr, target)
    terms = p.exp() * (p - q) if reverse else q.exp() * (q - p)
    return segment_sum(terms, ptr)


@_edge_kl.register_fake
def _(student: Tensor, teacher: Tensor, ptr: Tensor, target: Tensor, reverse: bool) -> Tensor:
    return student.new_empty(ptr.size(0) - 1, dtype=accumulation_dtype(student))


def _edge_kl_setup(ctx: Any, inputs: tuple, output: Tensor) -> None:
    student, teacher, ptr, target, ctx.reverse = inputs
    ctx.save_for_backward(student, teacher, ptr, target, output)


def _edge_kl_backward(ctx: Any, grad: Tensor) -> tuple:
    student, q, ptr, target, kl = ctx.saved_tensors
    p = _segment_log_softmax(student, ptr, target)
    grad = grad.index_select(0, target)
    if ctx.reverse:
        weight = p.exp()
        of_student = grad * weight * (p - q - kl.index_select(0, target))
        of_teacher = -grad * weight
    else:
        weight = q.exp()
        # p_s - p_t: the teacher's probabilities of one node sum to one
        of_student = grad * (p.exp() - weight)
        of_teacher = grad * weight * (q - p + 1)
    return of_student, of_teacher if ctx.needs_input_grad[1] else None, None, None, None


_edge_kl.register_autograd(_edge_kl_backward, setup_context=_edge_kl_setup)
