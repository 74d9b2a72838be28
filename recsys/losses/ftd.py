"""FTD: how similar the users and items of a batch are to each other, over all pairs."""

from __future__ import annotations

import torch
from torch import Tensor

from graphkd.core.loss import Loss
from graphkd.kernels import gram, gram_distance, grams
from graphkd.kernels.norms import unit_vectors
from graphkd.losses._checks import check_rows
from recsys.losses._tables import Tables, Triplets, constant_tables


def ftd(student: Tensor, teacher: Tensor, *, teacher_term: bool = True) -> Tensor:
    """Sum over all pairs of rows of squared differences of cosines: (n, d_s), (n, d_t) -> scalar; see ``FTD``."""
    check_rows(student, teacher)
    return cosine_distance(unit_vectors(student), unit_vectors(teacher), teacher_term)


def cosine_distance(s: Tensor, t: Tensor, teacher_term: bool = True) -> Tensor:
    """|S S' - T T'|^2 of normalised rows, by n x n matrices or by Gram matrices, whichever costs less."""
    (n, ds), dt = s.shape, t.size(1)
    if n * (ds + dt) <= ds * (ds + dt) + dt * dt * teacher_term:
        ours, theirs = s @ s.t(), t @ t.t()
        return ((ours - theirs).square() if teacher_term else ours * (ours - 2 * theirs)).sum()
    if teacher_term:
        return gram_distance(*grams(s, t)).to(s.dtype)
    return (gram(s, s).square().sum() - 2 * gram(s, t).square().sum()).to(s.dtype)


class FTD(Loss):
    """Match the cosines of all pairs of a batch (full topology distillation). Kang et al., KDD 2021, arXiv:2106.08700.

    sum_ab (cos(S_a, S_b) - cos(T_a, T_b))^2 over ordered pairs of the distinct users and the distinct (positive or
    negative) items, n in all. student: tables (U, d_s), (I, d_s), teacher: (U, d_t), (I, d_t); users, positives,
    negatives: (B,) ids of the training triplets. The authors' weight is 1e-3, beside the summed BPR. Computed as
    |S'S|^2 + |T'T|^2 - 2 |S'T|^2 of d x d Gram matrices in float64: O(n d^2), never n x n where n is larger than the
    widths. ``teacher_term=False`` leaves out |T'T|^2, which is constant for the student: the same gradient at less
    cost, and a value that can be negative. Zero rows have cosine 0 with all rows.

    Example::

        >>> teacher = torch.randn(4, 3), torch.randn(5, 3)
        >>> ids = {"users": [0, 2], "positives": [1, 1], "negatives": [0, 3]}
        >>> batch = {name: torch.tensor(each) for name, each in ids.items()}
        >>> student = teacher[0] * 2, teacher[1] * 5
        >>> round(float(FTD()(student, teacher, **batch)), 3)  # lengths of rows do not count
        0.0
    """

    on = ("user", "item")

    def __init__(self, *, teacher_term: bool = True, on: tuple[str, str] | None = None) -> None:
        super().__init__(on=on)
        self.teacher_term = teacher_term

    def forward(
        self, student: Tables, teacher: Tables, *, users: Tensor, positives: Tensor, negatives: Tensor
    ) -> Tensor:
        """See the class."""
        teacher = constant_tables(teacher, student)
        chosen = Triplets(users, positives, negatives).entities()
        return ftd(_rows(student, chosen), _rows(teacher, chosen), teacher_term=self.teacher_term)


def _rows(tables: Tables, chosen: tuple[Tensor, Tensor]) -> Tensor:
    """Stack the chosen users, then the chosen items."""
    return torch.cat([table.index_select(0, ids) for table, ids in zip(tables, chosen, strict=True)])
