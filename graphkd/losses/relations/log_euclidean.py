"""The log-Euclidean distance of two matrices of cosines, without building them."""

from dataclasses import dataclass
from typing import Self, Unpack

from torch import Tensor

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels import gram, log_quotient
from graphkd.kernels.norms import unit_vectors
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_rows


@dataclass(frozen=True)
class LogSimilarity:
    """Unit rows X (N, d) and F (d, d) with log(X X' + r I) = log(r) I + X F X'; its squared norm beyond log(r) I."""

    rows: Tensor
    factor: Tensor
    energy: Tensor

    @classmethod
    def of(cls, x: Tensor, ridge: float) -> Self:
        """Of the rectified rows."""
        rows = unit_vectors(x.relu())
        inner = gram(rows, rows)
        factor = log_quotient(inner, ridge)
        logarithm = factor @ inner
        return cls(rows, factor, (logarithm * logarithm.t()).sum())


def log_euclidean(student: Tensor, teacher: Tensor | LogSimilarity, ridge: float = 1e-3) -> Tensor:
    """Squared distance of the logarithms of two similarity matrices; see ``LogEuclidean``."""
    t = LogSimilarity.of(teacher, ridge) if isinstance(teacher, Tensor) else teacher
    check_rows(student, t.rows)
    s = LogSimilarity.of(student, ridge)
    cross = gram(s.rows, t.rows)
    both = (s.factor @ cross @ t.factor * cross).sum()
    return (s.energy + t.energy - 2 * both).clamp_min(0).to(accumulation_dtype(student))


class LogEuclidean(Loss):
    """Match the logarithms of the matrices of cosines. Wu et al., CVPR 2019 ("Distilled person re-identification").

    |log(A_s + r I) - log(A_t + r I)|_F^2 with A = X X', X the rectified features as unit rows; student: (N, d_s),
    teacher: (N, d_t). A sum over all pairs, not a mean, as in the paper; the ``ridge`` r, which A needs where N > d, is
    ours. By the eigenvalues of the d x d matrix X' X: O(N d^2 + d^3) time, in float64, no N x N. Several teachers are
    several losses, whose weights the paper learns.
    """

    on = "hidden"

    def __init__(self, ridge: float = 1e-3, **reads: Unpack[Reads]) -> None:
        super().__init__(**reads)
        self.ridge = ridge

    def digest(self, teacher: Tensor) -> LogSimilarity:
        """The logarithm of the teacher's similarities."""
        return LogSimilarity.of(teacher, self.ridge)

    def forward(self, student: Tensor, teacher: Tensor | LogSimilarity) -> Tensor:
        return log_euclidean(student, teacher, self.ridge)


@method("log_euclidean", family="relations", paper="Wu et al., CVPR 2019", needs=("hidden",))
def log_euclidean_method(problem: Problem, *, weight: float = 1.0) -> Loss:
    """Match the logarithms of the cosine matrices of hidden rows, beside the labels.

    Choose it where weak directions of the teacher's similarities should count as strong ones do. The loss is a sum over
    all pairs of nodes; the weight is of their mean.
    """
    return problem.supervised() + weight * problem.nodes**-2 * LogEuclidean()
