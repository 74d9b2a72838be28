"""Triplets of rows ordered by a majority of teachers, beside their mean answer (You et al.)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphkd.core.loss import Loss
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.losses._checks import check_rows
from graphkd.losses.relations.triplet_order import triplet_hinge
from graphkd.schemes.teachers._combine import check_stack, soft_target
from graphkd.schemes.teachers._several import tapped


def vote_triplets(teachers: Tensor, triplets: Tensor) -> tuple[Tensor, Tensor]:
    """Vote on which of two rows is nearer to a third: (K, N, d), (M, 3) -> (M, 3), (M,). You et al., KDD 2017.

    Each teacher votes +1 where it has ``triplets[:, 1]`` nearer to ``triplets[:, 0]`` than ``triplets[:, 2]``, -1 where
    the other one is, 0 where neither. Returns the triplets as (anchor, near, far) and the sums of the votes; a tie
    keeps the order given. The student learns them by ``triplet_hinge``. Raises ValueError for ``triplets`` of another
    shape or type.
    """
    check_stack(teachers)
    if triplets.dim() != 2 or triplets.size(1) != 3 or triplets.is_floating_point():
        raise ValueError(f"'triplets' must hold integers of shape (M, 3), got {triplets.dtype} {tuple(triplets.shape)}")
    anchor, one, other = (teachers[:, rows] for rows in triplets.unbind(dim=1))
    nearer = torch.linalg.vector_norm(anchor - other, dim=-1) - torch.linalg.vector_norm(anchor - one, dim=-1)
    votes = nearer.sign().sum(dim=0).long()
    return torch.where(votes[:, None] < 0, triplets[:, [0, 2, 1]], triplets), votes


class VotedTriplets(Loss):
    """Match the order of distances that a majority of teachers votes for. You, Xu, Xu and Tao, KDD 2017.

    ``triplet_hinge`` of the student's features on ``triplets`` random triplets of rows, drawn at every step (all N^3
    where None), in the order that ``vote_triplets`` gives them; ties keep the drawn order. student: (N, d); teacher:
    (N, sum of widths), the features of all teachers side by side, as an ``Ensemble`` returns them; ``widths``: of each
    teacher's. O(triplets d).
    """

    on = "hidden"

    def __init__(
        self,
        widths: Sequence[int],
        margin: float = 0.2,
        *,
        triplets: int | None = 1024,
        on: str | None = None,
        where: str | None = None,
    ) -> None:
        super().__init__(on=on, where=where)
        self.widths, self.margin, self.triplets = list(widths), margin, triplets

    def digest(self, teacher: Tensor) -> Tensor:
        """Separate the teachers' features, narrower ones padded with zeros, which change no distance: (K, N, d)."""
        if teacher.size(-1) != sum(self.widths):
            raise ValueError(f"'widths' must sum to the {teacher.size(-1)} features of all teachers, got {self.widths}")
        parts = teacher.split(self.widths, dim=-1)
        return torch.stack([F.pad(part, (0, max(self.widths) - part.size(-1))) for part in parts])

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """See the class; ``teacher`` may be its ``digest``."""
        teacher = teacher if teacher.dim() == 3 else self.digest(teacher)
        check_rows(student, teacher[0])
        if student.size(0) == 0:
            return student.sum()
        voted, _ = vote_triplets(teacher, self._drawn(student.size(0), student.device))
        anchor, near, far = (student[rows] for rows in voted.unbind(dim=1))
        return triplet_hinge(anchor, near, far, self.margin)

    def _drawn(self, rows: int, device: torch.device) -> Tensor:
        if self.triplets is None:
            return torch.cartesian_prod(*[torch.arange(rows, device=device)] * 3)
        return torch.randint(rows, (self.triplets, 3), device=device)


@method("voted_triplets", family="teachers", paper="You et al., KDD 2017", survey=(82,), needs=("teachers", "hidden"))
def voted_triplets(
    problem: Problem,
    *,
    temperature: float = 4.0,
    alpha: float = 1.0,
    beta: float = 1.0,
    margin: float = 0.2,
    triplets: int = 1024,
) -> nn.Module:
    """Learn the labels, the teachers' mean answer, and triplets that they vote on; choose it where teachers differ.

    The hidden layers of student and teachers may differ in width and kind, since only the order of distances is
    compared. The loss is CE + ``alpha`` KL of the mean answer at ``temperature`` + ``beta`` ``VotedTriplets`` with
    ``margin`` on ``triplets`` random triplets a step. The paper's weights are not known to us.
    """
    voted = VotedTriplets([problem.width_of(each) for each in problem.teachers], margin, triplets=triplets)
    losses = problem.supervised() + alpha * problem.soft(temperature) + beta * voted
    several = tapped(problem, partial(soft_target, temperature=temperature))
    return problem.train(problem.distiller(problem.student, several, losses))
