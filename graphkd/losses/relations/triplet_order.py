"""Who is nearer to whom: triplets with a margin."""

from typing import Unpack

import torch
from torch import Tensor

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_rows, check_same_shape
from graphkd.losses._rows import sample_rows


def triplet_hinge(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 0.2) -> Tensor:
    """mean_i max(0, |a_i - p_i| - |a_i - n_i| + margin), distances unsquared (eq. 20): (N, d) each -> scalar."""
    for other in (positive, negative):
        check_same_shape(anchor, other)
    anchor, positive, negative = (x.to(accumulation_dtype(x)) for x in (anchor, positive, negative))
    near, far = (torch.linalg.vector_norm(anchor - other, dim=-1) for other in (positive, negative))
    return (near - far + margin).clamp_min(0).sum() / max(near.numel(), 1)


def _distances(x: Tensor) -> Tensor:
    wide = x.to(accumulation_dtype(x))
    return torch.linalg.vector_norm(wide[:, None] - wide, dim=-1)


def triplet_order(student: Tensor, teacher: Tensor, margin: float = 0.2, *, max_samples: int | None = None) -> Tensor:
    """``triplet_hinge`` on all triplets that the teacher orders: (N, d_s), (N, d_t) -> scalar; see ``TripletOrder``."""
    check_rows(student, teacher)
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

    def __init__(self, margin: float = 0.2, *, max_samples: int | None = 128, **reads: Unpack[Reads]) -> None:
        super().__init__(**reads)
        self.margin, self.max_samples = margin, max_samples

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        return triplet_order(student, teacher, self.margin, max_samples=self.max_samples)


@method(
    "triplet_order", family="relations", paper="You et al., KDD 2017", survey=(82,), tasks=("rows",), needs=("hidden",)
)
def triplet_order_method(problem: Problem, *, weight: float = 1.0, margin: float = 0.2, max_samples: int = 128) -> Loss:
    """Match which of two rows is nearer to a third, beside the labels.

    Choose it where the teacher's distances mean nothing but their order does. ``max_samples`` rows are drawn at each
    step, since all triplets of them are compared.
    """
    return problem.supervised() + weight * TripletOrder(margin, max_samples=max_samples)
