"""The objective of Hu et al.'s survey (eq. 14) and its distances that are not losses elsewhere (eq. 15 to 20)."""

from __future__ import annotations

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from graphkd.core.loss import Loss, Sum
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_rows, check_same_shape, choose
from graphkd.losses.hidden import hidden_cosine
from graphkd.losses.response import CE, KL
from graphkd.losses.structure import sample_rows

Metric = Literal["l1", "l2", "cosine", "huber"]


def feature_distance(student: Tensor, teacher: Tensor, metric: Metric = "l2") -> Tensor:
    """Distance of features, the mean over rows: (N, d), (N, d) -> scalar; see ``FeatureDistance``."""
    choose("metric", metric, get_args(Metric))
    if metric == "cosine":
        return hidden_cosine(student, teacher)
    check_same_shape(student, teacher)
    s, t = (x.to(accumulation_dtype(x)) for x in (student, teacher))
    if metric == "huber":
        values = F.smooth_l1_loss(s, t, reduction="none")
    else:
        values = (s - t).abs() if metric == "l1" else (s - t).square()
    return values.sum() / max(s[..., 0].numel(), 1)


class FeatureDistance(Loss):
    """Distance of hidden features of one width, eq. 15 to 19 of Hu et al., arXiv:2304.14800.

    mean_i D(s_i, t_i), summed over the width; student, teacher: (N, d). ``metric``: "l1" |s - t|_1 (eq. 15, where the
    index of the norm is missing), "l2" |s - t|^2 (16), "cosine" 1 - cos (17, 18; ``HiddenCosine``), "huber" with delta
    1 (19). Unlike ``FitNet`` it is not divided by d. Eq. 20 is ``TripletOrder``, eq. 21 ``VML``.
    """

    on = "hidden"

    def __init__(self, metric: Metric = "l2", *, on: str | None = None, where: str | None = None) -> None:
        super().__init__(on=on, where=where)
        self.metric: Metric = metric
        choose("metric", metric, get_args(Metric))

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """See the class."""
        return feature_distance(student, teacher, self.metric)


def survey_objective(transfer: Loss, weights: tuple[float, float, float], temperature: float = 4.0) -> Sum:
    """Eq. 14: l1 CE(y, p) + l2 KL(q || p) at the temperature, without T^2 as printed, + l3 ``transfer``; sum l = 1."""
    if min(weights) < 0 or abs(sum(weights) - 1) > 1e-9:
        raise ValueError(f"'weights' must be 0 at least and sum to 1, got {weights}")
    return weights[0] * CE() + weights[1] * KL(temperature, rescale=False) + weights[2] * transfer


def triplet_hinge(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 0.2) -> Tensor:
    """mean_i max(0, |a_i - p_i| - |a_i - n_i| + margin), distances unsquared (eq. 20): (N, d) each -> scalar."""
    for other in (positive, negative):
        check_same_shape(anchor, other)
    near, far = (torch.linalg.vector_norm(anchor - other, dim=-1) for other in (positive, negative))
    return (near - far + margin).clamp_min(0).sum() / max(near.numel(), 1)


def _distances(x: Tensor) -> Tensor:
    wide = x.to(accumulation_dtype(x))
    return torch.linalg.vector_norm(wide[:, None] - wide, dim=-1)


def triplet_order(student: Tensor, teacher: Tensor, margin: float = 0.2, *, max_samples: int | None = None) -> Tensor:
    """``triplet_hinge`` on all triplets that the teacher orders: (N, d_s), (N, d_t) -> scalar; see ``TripletOrder``."""
    check_rows(student, teacher)
    if max_samples is not None and student.size(0) > max_samples:
        student, teacher = sample_rows(student, teacher, max_samples)
    ours, theirs = _distances(student), _distances(teacher)
    near_to_far = theirs[:, :, None] < theirs[:, None, :]  # of anchor, near, far
    near_to_far = near_to_far & ~torch.eye(ours.size(0), dtype=torch.bool, device=ours.device)[:, :, None]
    hinges = (ours[:, :, None] - ours[:, None, :] + margin).clamp_min(0)
    return torch.where(near_to_far, hinges, 0).sum() / near_to_far.sum().clamp_min(1)


class TripletOrder(Loss):
    """Who is nearer to whom, with a margin, eq. 20 of Hu et al., arXiv:2304.14800; You et al., KDD 2017.

    max(0, |s_a - s_p| - |s_a - s_n| + margin), the mean over all triplets of rows a, p, n of which the teacher has p
    nearer to a than n; ties do not count. student: (N, d_s), teacher: (N, d_t). The survey prints the teacher's
    distances for the student's, which would have no gradient. ``max_samples`` rows are drawn at each step: O(m^3) time
    and memory. For given triplets, or such that several teachers vote on, call ``triplet_hinge``.
    """

    on = "hidden"

    def __init__(
        self,
        margin: float = 0.2,
        *,
        max_samples: int | None = 128,
        on: str | None = None,
        where: str | None = None,
    ) -> None:
        super().__init__(on=on, where=where)
        self.margin, self.max_samples = margin, max_samples

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """See the class."""
        return triplet_order(student, teacher, self.margin, max_samples=self.max_samples)
