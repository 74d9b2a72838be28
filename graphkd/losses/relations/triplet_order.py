"""The order of distances: triplets with a margin."""

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
    """Penalise negatives that are not farther than positives by a margin: (N, d) each -> scalar.

    mean_i max(0, |a_i - p_i| - |a_i - n_i| + margin), distances unsquared (eq. 20).

    Example::

        >>> anchor, near, far = torch.zeros(1, 2), torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, 6.0]])
        >>> triplet_hinge(anchor, near, far)  # distances 5 and 6: in order, by more than the margin
        tensor(0.)
        >>> round(float(triplet_hinge(anchor, far, near)), 3)  # 6 - 5 + 0.2
        1.2
    """
    for other in (positive, negative):
        check_same_shape(anchor, other)
    anchor, positive, negative = (x.to(accumulation_dtype(x)) for x in (anchor, positive, negative))
    near, far = (torch.linalg.vector_norm(anchor - other, dim=-1) for other in (positive, negative))
    return (near - far + margin).clamp_min(0).sum() / max(near.numel(), 1)


def _distances(x: Tensor) -> Tensor:
    wide = x.to(accumulation_dtype(x))
    return torch.linalg.vector_norm(wide[:, None] - wide, dim=-1)


def triplet_order(student: Tensor, teacher: Tensor, margin: float = 0.2, *, max_samples: int | None = None) -> Tensor:
    """Apply ``triplet_hinge`` to all triplets the teacher orders: (N, d_s), (N, d_t) -> scalar; see ``TripletOrder``.

    Example::

        >>> line = torch.tensor([[0.0], [1.0], [3.0]])
        >>> round(float(triplet_order(torch.eye(3), line, margin=0.5)), 3)  # equal distances: all of the margin
        0.5
    """
    check_rows(student, teacher)
    student, teacher = sample_rows(student, teacher, max_samples)
    ours, theirs = _distances(student), _distances(teacher)
    near_to_far = theirs[:, :, None] < theirs[:, None, :]  # axes: anchor, near, far
    near_to_far = near_to_far & ~torch.eye(ours.size(0), dtype=torch.bool, device=ours.device)[:, :, None]
    hinges = (ours[:, :, None] - ours[:, None, :] + margin).clamp_min(0)
    return torch.where(near_to_far, hinges, 0).sum() / near_to_far.sum().clamp_min(1)


class TripletOrder(Loss):
    """Match which of two nodes is nearer to a third, by a margin. You et al., KDD 2017.

    max(0, |s_a - s_p| - |s_a - s_n| + margin), eq. 20 of Hu et al., arXiv:2304.14800, the mean over all triplets of
    rows a, p, n of which the teacher has p nearer to a than n; ties do not count. student: (N, d_s), teacher: (N, d_t).
    The survey prints the teacher's distances in place of the student's; they would have no gradient. Each step draws
    m = ``max_samples`` rows: O(m^3) time and memory. For given triplets, such as those that several teachers vote on,
    call ``triplet_hinge``.

    Example::

        >>> line = torch.tensor([[0.0], [1.0], [3.0]])
        >>> TripletOrder()(line.square(), line)  # other distances in the same order
        tensor(0.)
        >>> loss = graphkd.losses.CE(where="train_mask") + TripletOrder(margin=0.2, max_samples=32)
        >>> result = graphkd.distil(loss, student, teacher, data, hidden="convs.0", epochs=2, progress=False)
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

    Choose it where the order of the teacher's distances matters and their size does not. Each step draws
    ``max_samples`` rows, because all their triplets are compared.
    """
    return problem.supervised() + weight * TripletOrder(margin, max_samples=max_samples)
