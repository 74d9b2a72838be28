"""The log-Euclidean distance of two matrices of cosines, without building them."""

from dataclasses import dataclass
from typing import Literal, Self, Unpack

import torch
from torch import Tensor

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels import gram, log_quotient
from graphkd.kernels.norms import unit_vectors
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_rows, choose

LogReduction = Literal["sum", "relative"]


@dataclass(frozen=True)
class LogSimilarity:
    """Unit rows X (N, d) and F (d, d) with log(X X' + r I) = log(r) I + X F X'; its squared norm beyond log(r) I."""

    rows: Tensor
    factor: Tensor
    energy: Tensor

    @classmethod
    def of(cls, x: Tensor, ridge: float) -> Self:
        """Compute it for rows after a ReLU: (N, d)."""
        rows = unit_vectors(x.relu())
        inner = gram(rows, rows)
        factor = log_quotient(inner, ridge)
        logarithm = factor @ inner
        return cls(rows, factor, (logarithm * logarithm.t()).sum())


def log_euclidean(
    student: Tensor, teacher: Tensor | LogSimilarity, ridge: float = 1e-3, *, reduction: LogReduction = "sum"
) -> Tensor:
    """Compute the squared distance of the logarithms of two similarity matrices; see ``LogEuclidean``.

    Example::

        >>> nothing, teacher = torch.zeros(4, 2), torch.rand(4, 3)
        >>> round(float(log_euclidean(nothing, teacher, reduction="relative")), 3)  # all of the teacher's is missing
        1.0
    """
    choose("reduction", reduction, LogReduction)
    t = LogSimilarity.of(teacher, ridge) if isinstance(teacher, Tensor) else teacher
    check_rows(student, t.rows)
    s = LogSimilarity.of(student, ridge)
    cross = gram(s.rows, t.rows)
    both = (s.factor @ cross @ t.factor * cross).sum()
    total = (s.energy + t.energy - 2 * both).clamp_min(0)
    if reduction == "relative":
        total = total / torch.where(t.energy > 0, t.energy, 1)
    return total.to(accumulation_dtype(student))


class LogEuclidean(Loss):
    """Match the logarithms of the matrices of cosines. Wu et al., CVPR 2019 ("Distilled person re-identification").

    |log(A_s + r I) - log(A_t + r I)|_F^2 with A = X X', X the rectified features as unit rows; student: (N, d_s),
    teacher: (N, d_t). The loss is a sum over all pairs, as in the paper, and grows with the rank of A and log N, not as
    N^2. The ``ridge`` r, which A needs where N > d, is ours. ``reduction="relative"`` divides by the teacher's
    |log(A_t + r I) - log(r) I|_F^2; the result hardly depends on N and the widths. Computed in float64 from the
    eigenvalues of the d x d matrix X' X: O(N d^2 + d^3) time, no N x N matrix. For several teachers add several losses;
    the paper learns their weights.

    Example::

        >>> apart, alike = torch.eye(2), torch.ones(2, 2)  # eigenvalues of the cosines: 1 and 1; 2 and 0
        >>> round(float(LogEuclidean(ridge=1.0)(apart, alike)), 3)  # log(2 / 3)^2 + log(2 / 1)^2
        0.645
        >>> loss = graphkd.losses.CE(where="train_mask") + 10 * LogEuclidean(reduction="relative")
        >>> result = graphkd.distil(loss, student, teacher, data, hidden="convs.0", epochs=2, progress=False)
    """

    on = "hidden"

    def __init__(self, ridge: float = 1e-3, *, reduction: LogReduction = "sum", **reads: Unpack[Reads]) -> None:
        super().__init__(**reads)
        self.ridge = ridge
        self.reduction: LogReduction = choose("reduction", reduction, LogReduction)

    def digest(self, teacher: Tensor) -> LogSimilarity:
        """Compute the logarithm of the teacher's similarities once."""
        return LogSimilarity.of(teacher, self.ridge)

    def forward(self, student: Tensor, teacher: Tensor | LogSimilarity) -> Tensor:
        return log_euclidean(student, teacher, self.ridge, reduction=self.reduction)


@method(
    "log_euclidean", family="relations", paper="Wu et al., CVPR 2019", survey=(93,), tasks=("rows",), needs=("hidden",)
)
def log_euclidean_method(problem: Problem, *, weight: float = 10.0) -> Loss:
    """Match the logarithms of the cosine matrices of hidden rows, beside the labels.

    Choose it where weak directions of the teacher's similarities should count as strong ones do. ``weight`` multiplies
    the unmatched share of the teacher's logarithm, for any number of nodes; we chose it on validation rows of Cora,
    from 0.1 to 30.
    """
    return problem.supervised() + weight * LogEuclidean(reduction="relative")
