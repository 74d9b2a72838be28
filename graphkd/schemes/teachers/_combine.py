"""Rules that combine the answers of several teachers into one target.

Teachers are stacked: logits (K, N, C), features (K, N, d). A target is given as logits whose softmax at the
temperature is the target, so that ``kl(student, target, T)`` and ``soft_cross_entropy(student, target, T)`` take it.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from graphkd.core.answers import check_width
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_positive, choose, class_ids
from graphkd.losses.response.ce import cross_entropy
from graphkd.losses.response.conditional_ts import is_right
from graphkd.losses.response.kd import kl

Average = Literal["probabilities", "logits"]


def check_stack(teachers: Tensor) -> None:
    """Check that teachers are stacked on the first dimension, one at least."""
    if teachers.dim() != 3 or teachers.size(0) == 0:
        raise ValueError(f"'teachers' must have shape (K, N, C), K above 0, got {tuple(teachers.shape)}")


def _shares(weights: Tensor | None, teachers: Tensor) -> Tensor:
    """Divide weights by their sum, (K, N, 1) or (K, 1, 1); 0 where all are 0."""
    count = teachers.size(0)
    if weights is None:
        return teachers.new_full((count, 1, 1), 1 / count)
    if weights.shape not in ((count,), teachers.shape[:2]):
        raise ValueError(
            f"'weights' must have shape {(count,)} or {tuple(teachers.shape[:2])}, got {tuple(weights.shape)}"
        )
    weights = weights.to(teachers.dtype).reshape(count, -1, 1)
    total = weights.sum(dim=0)
    return weights / torch.where(total > 0, total, 1)


def soft_target(
    teachers: Tensor, temperature: float = 1.0, *, weights: Tensor | None = None, average: Average = "probabilities"
) -> Tensor:
    """Compute the weighted average of teachers, as logits: (K, N, C) -> (N, C). Hinton et al., 2015, arXiv:1503.02531.

    ``average``: with "probabilities" the target is sum_k w_k softmax(t_k / T), with "logits" softmax(sum_k w_k t_k /
    T), a geometric mean. ``weights``: (K,) or, with one for each row, (K, N); at least 0 and not all 0, divided by
    their sum (equal by default). FedDF averages logits, Lin et al., NeurIPS 2020, arXiv:2006.07242; so does FedAUX,
    weighted by each client's ``certainty`` about each row.
    """
    check_stack(teachers)
    check_width("soft_target", teachers, "teachers")
    choose("average", average, get_args(Average))
    check_positive("temperature", temperature)
    teachers = teachers.to(accumulation_dtype(teachers))
    shares = _shares(weights, teachers)
    if average == "logits":
        return (shares * teachers).sum(dim=0)
    logs = (teachers / temperature).log_softmax(dim=-1)
    some = shares > 0  # the others get a log-weight of minus infinity, without a gradient
    return temperature * (logs + torch.where(some, torch.where(some, shares, 1).log(), -torch.inf)).logsumexp(dim=0)


def entropy_reduction(teachers: Tensor, temperature: float = 0.1) -> Tensor:
    """Sharpen the mean probabilities: (K, N, C) -> (N, C) logits. Itahara et al., TMC 2021, arXiv:2008.06180 (ERA).

    The target is softmax(mean_k softmax(t_k) / T): a softmax of probabilities, so even at T = 0.1 no class has more
    than e^10 times another's.
    """
    check_stack(teachers)
    check_positive("temperature", temperature)
    means = teachers.to(accumulation_dtype(teachers)).softmax(dim=-1).mean(dim=0)
    return (means - 1) / temperature  # negative, so not taken for probabilities; the softmax is the same


def trimmed_mean(teachers: Tensor, trim: int = 1) -> Tensor:
    """Compute the mean of each entry without its ``trim`` smallest and largest: (K, ...) -> (...).

    A robust mean of clients' predictions after Cronus (Chang et al., 2019, arXiv:1912.11279), whose own estimator
    differs. Rows of probabilities no longer sum to 1. The other common choice is the entrywise median,
    ``teachers.quantile(0.5, dim=0)``.
    """
    if not 0 <= 2 * trim < teachers.size(0):
        raise ValueError(f"'trim' must leave one of {teachers.size(0)} teachers, got {trim}")
    return teachers.sort(dim=0).values[trim : teachers.size(0) - trim].mean(dim=0)


def oracle_weights(teachers: Tensor, y: Tensor) -> Tensor:
    """Return 1 where a teacher is right, else 0: (K, N, C), (N,) -> (K, N)."""
    check_stack(teachers)
    y = class_ids(y, teachers.size(1), teachers.size(2))
    return is_right(teachers, y).to(teachers.dtype)


def oracle_kd(student: Tensor, teachers: Tensor, y: Tensor, temperature: float = 3.0, *, weight: float = 1.0) -> Tensor:
    """Compute CE + weight T^2 KL from teachers that are right. Kang et al., AAAI 2020, arXiv:1911.13019 (oracle KD).

    The target of a row is the mean of softmax(t_k / T) over the teachers k whose top class is y; (N, C), (K, N, C),
    (N,) -> scalar, means over rows. Rows that no teacher gets right have their label alone (our reading).
    """
    weights = oracle_weights(teachers, y)
    seen = weights.any(dim=0)
    target = soft_target(teachers[:, seen], temperature, weights=weights[:, seen])
    soft = kl(student[seen], target, temperature)
    return cross_entropy(student, y) + weight * soft * seen.sum() / max(seen.numel(), 1)
