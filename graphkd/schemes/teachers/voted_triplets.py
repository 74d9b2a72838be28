"""What teachers agree on about who is nearer to whom, beside their mean answer (You et al.)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphkd.core.distiller import Distiller
from graphkd.core.ensemble import Ensemble
from graphkd.core.fit import fit
from graphkd.core.loss import Loss
from graphkd.core.teachers import Frozen, cached
from graphkd.core.view import Batch
from graphkd.losses._checks import check_rows
from graphkd.losses.relations.triplet_order import triplet_hinge
from graphkd.losses.response.ce import CE
from graphkd.losses.response.kd import KL
from graphkd.schemes.weights import soft_target, vote_triplets


class VotedTriplets(Loss):
    """Who is nearer to whom by a majority of teachers. You, Xu, Xu and Tao, KDD 2017.

    ``triplet_hinge`` of the student's features on ``triplets`` random triplets of rows, drawn at every step (all N^3
    where None), in the order that ``vote_triplets`` gives them; a tie counts as voted. student: (N, d); teacher:
    (N, sum of widths), the features of all teachers side by side as an ``Ensemble`` shows them, ``widths`` those of
    each. O(triplets d).
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
        """The teachers' features apart, narrower ones filled up with zeros, which no distance sees: (K, N, d)."""
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


def voted_student(
    student: nn.Module,
    teachers: Sequence[nn.Module | Frozen],
    data: Batch,
    taps: tuple[str, Sequence[str]],
    widths: Sequence[int],
    *,
    temperature: float = 4.0,
    alpha: float = 1.0,
    beta: float = 1.0,
    **options: Any,
) -> nn.Module:
    """Labels, the teachers' mean answer, and the triplets that they vote on. You, Xu, Xu and Tao, KDD 2017.

    Choose it where the hidden features of several teachers differ in width and kind: who is nearer to whom is all that
    is compared. CE(where="train_mask") + alpha KL(temperature) of the mean softened answer + beta ``VotedTriplets``;
    the paper's weights are not known to us. taps: the student's path, and each teacher's; widths: the teachers'.
    options go to ``fit``.
    """
    known = [cached(teacher, data) for teacher in teachers]
    combine = partial(soft_target, temperature=temperature)
    together = Ensemble(known, combine, taps=[{"hidden": path} for path in taps[1]])
    losses = CE(where="train_mask") + alpha * KL(temperature) + beta * VotedTriplets(widths)
    return fit(Distiller(student, together, losses, taps={"hidden": taps[0]}), data, **options)
