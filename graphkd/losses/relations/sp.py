"""Similarity preserving (SP): row-normalised inner products of all pairs of nodes, without their matrix."""

from dataclasses import dataclass
from typing import Literal, Self, Unpack

import torch
from torch import Tensor

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels import gram, row_forms
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_rows, choose

SimilarityReduction = Literal["pairs", "rows"]


@dataclass(frozen=True)
class NormalisedRows:
    """Features (N, d), and the inverse length of each row of their matrix of inner products: (N,), 0 for zeros."""

    features: Tensor
    inverse: Tensor
    energy: Tensor  # sum of squared lengths of the normalised rows: the number of non-zero rows

    @classmethod
    def of(cls, x: Tensor) -> Self:
        """Compute lengths by |X x_i|^2 = x_i' (X' X) x_i."""
        x = x.to(accumulation_dtype(x))
        length = row_forms(x, gram(x, x), x).clamp_min(0)
        inverse = torch.where(length > 0, length, torch.inf).rsqrt().clamp_max(1e12)
        return cls(x, inverse, (length * inverse.square()).sum())


def similarity_preserving(
    student: Tensor, teacher: Tensor | NormalisedRows, *, reduction: SimilarityReduction = "pairs"
) -> Tensor:
    """Compute the squared difference of row-normalised inner products: (N, d_s), (N, d_t) -> scalar; see ``SP``.

    Example::

        >>> apart, alike = torch.eye(2), torch.ones(2, 2)  # rows (1, 0) and (0, 1) against (1, 1) / sqrt(2) twice
        >>> [round(float(similarity_preserving(apart, alike, reduction=each)), 3) for each in ("pairs", "rows")]
        [0.293, 0.586]
    """
    choose("reduction", reduction, SimilarityReduction)
    t = NormalisedRows.of(teacher) if isinstance(teacher, Tensor) else teacher
    check_rows(student, t.features)
    s = NormalisedRows.of(student)
    both = gram(s.features, t.features) * gram(s.features, t.features, s.inverse * t.inverse)
    total = (s.energy + t.energy - 2 * both.sum()).clamp_min(0)
    return (total / max(student.size(0), 1) ** (2 if reduction == "pairs" else 1)).to(accumulation_dtype(student))


class SP(Loss):
    """Match the similarities of nodes, relative to all others: similarity preserving. Tung and Mori, ICCV 2019.

    (1/N^2) |G^s - G^t|_F^2 with G = X X' whose rows are divided by their L2 norms; student: (N, d_s), teacher: (N,
    d_t). A row of zeros stays zero. Rows of G are unit vectors for any N, so that the mean over pairs shrinks as 1 / N;
    ``reduction="rows"`` sums over j and averages over i, in [0, 4]. The authors' weight is 3000, for the mean over
    "pairs". Exact without N x N: the rows of G have squared norms a_i^2 = x_i' (X' X) x_i, and sum_ij G^s_ij G^t_ij =
    <X' Y, X' diag(1 / a b) Y>; O(N d_s d_t) time, in float64.

    Example::

        >>> x = torch.randn(6, 4)
        >>> abs(round(float(SP()(3 * x, x)), 3))  # invariant to scale
        0.0
        >>> loss = graphkd.losses.CE(where="train_mask") + 47 * SP(reduction="rows")
        >>> result = graphkd.distil(loss, student, teacher, data, hidden="convs.0", epochs=2, progress=False)
    """

    on = "hidden"

    def __init__(self, *, reduction: SimilarityReduction = "pairs", **reads: Unpack[Reads]) -> None:
        super().__init__(**reads)
        self.reduction: SimilarityReduction = choose("reduction", reduction, SimilarityReduction)

    def digest(self, teacher: Tensor) -> NormalisedRows:
        """Compute the lengths of the teacher's rows once."""
        return NormalisedRows.of(teacher)

    def forward(self, student: Tensor, teacher: Tensor | NormalisedRows) -> Tensor:
        return similarity_preserving(student, teacher, reduction=self.reduction)


@method(
    "sp",
    family="relations",
    paper="Tung and Mori, ICCV 2019",
    arxiv="1907.09682",
    survey=(58,),
    tasks=("rows",),
    needs=("hidden",),
)
def sp_method(problem: Problem, *, weight: float = 47.0) -> Loss:
    """Match how alike hidden rows are, relative to all others, beside the labels.

    Choose it on large graphs: it compares all pairs of nodes at the cost of products of narrow matrices. ``weight``
    multiplies the mean over rows; it equals the authors' 3000 for the mean over all pairs at their batch size of 64.
    """
    return problem.supervised() + weight * SP(reduction="rows")
