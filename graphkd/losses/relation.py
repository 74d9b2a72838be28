"""How alike all pairs of nodes are: similarity matrices compared without building them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from graphkd.core.loss import Loss
from graphkd.kernels import gram, log_quotient, pair_divergence, row_forms, series_divergence
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_rows, check_same_shape, choose

CongruenceKernel = Literal["gaussian", "bilinear"]
CongruenceReduction = Literal["mean", "norm", "norm_mean"]


@dataclass(frozen=True)
class NormalisedRows:
    """Features (N, d), and one over the length of each row of their matrix of inner products: (N,), 0 for no length."""

    features: Tensor
    inverse: Tensor
    energy: Tensor  # the squared lengths of the normalised rows, summed: how many are not 0

    @classmethod
    def of(cls, x: Tensor) -> NormalisedRows:
        """|X x_i|^2 = x_i' (X' X) x_i."""
        length = row_forms(x, gram(x, x), x).clamp_min(0)
        inverse = torch.where(length > 0, length, torch.inf).rsqrt().clamp_max(1e12)
        return cls(x, inverse, (length * inverse.square()).sum())


def similarity_preserving(student: Tensor, teacher: Tensor | NormalisedRows) -> Tensor:
    """Mean squared difference of row-normalised inner products: (N, d_s), (N, d_t) -> scalar; see ``SP``."""
    t = NormalisedRows.of(teacher) if isinstance(teacher, Tensor) else teacher
    check_rows(student, t.features)
    s = NormalisedRows.of(student)
    both = gram(student, t.features) * gram(student, t.features, s.inverse * t.inverse)
    total = (s.energy + t.energy - 2 * both.sum()).clamp_min(0)
    return (total / max(student.size(0), 1) ** 2).to(accumulation_dtype(student))


class SP(Loss):
    """Similarity preserving: match how alike nodes are, relative to all others. Tung and Mori, ICCV 2019.

    (1/N^2) |G^s - G^t|_F^2 with G = X X' whose rows are divided by their L2 norms; student: (N, d_s), teacher:
    (N, d_t). A row of zeros stays one. The authors' weight is 3000. Exact without N x N: the rows of G have squared
    norms a_i^2 = x_i' (X' X) x_i, and sum_ij G^s_ij G^t_ij = <X' Y, X' diag(1 / a b) Y>; O(N d_s d_t) time, in float64.
    """

    on = "hidden"

    def digest(self, teacher: Tensor) -> NormalisedRows:
        """The lengths of the teacher's rows."""
        return NormalisedRows.of(teacher)

    def forward(self, student: Tensor, teacher: Tensor | NormalisedRows) -> Tensor:
        """See the class."""
        return similarity_preserving(student, teacher)


def correlation_congruence(
    student: Tensor,
    teacher: Tensor,
    kernel: CongruenceKernel = "gaussian",
    *,
    gamma: float = 0.4,
    order: int | None = 2,
    normalise: bool = True,
    reduction: CongruenceReduction = "mean",
) -> Tensor:
    """Difference of two matrices of pairwise kernels: (N, d_s), (N, d_t) -> scalar; knobs at ``CC``."""
    check_rows(student, teacher)
    choose("kernel", kernel, get_args(CongruenceKernel))
    choose("reduction", reduction, get_args(CongruenceReduction))
    if normalise:
        student, teacher = (F.normalize(x.to(accumulation_dtype(x)), dim=1) for x in (student, teacher))
    if kernel == "bilinear":
        value = series_divergence(student, teacher, (0.0, 1.0))
    elif order is None:
        value = pair_divergence(student, teacher, "rbf", sigma=1 / (2 * gamma))
    else:
        value = series_divergence(student, teacher, list(_gaussian_series(gamma, order)))
    if reduction == "mean":
        return value
    return _root(value) * student.size(0) if reduction == "norm" else _root(value) / max(student.size(0), 1)


def _gaussian_series(gamma: float, order: int) -> Iterator[float]:
    """Coefficients of exp(-gamma |x - y|^2) in x . y for unit rows: exp(-2 gamma) (2 gamma)^p / p!."""
    return (math.exp(-2 * gamma) * (2 * gamma) ** p / math.factorial(p) for p in range(order + 1))


def _root(value: Tensor) -> Tensor:
    positive = value > 0
    return torch.where(positive, value, 1).sqrt() * positive


class CC(Loss):
    """Correlation congruence: match a kernel of all pairs of nodes. Peng et al., ICCV 2019, arXiv:1904.01802.

    (1/N^2) sum_ij (k(s_i, s_j) - k(t_i, t_j))^2 of unit rows; student: (N, d_s), teacher: (N, d_t). ``kernel``:
    "gaussian" exp(-gamma |x - y|^2), its series in x . y up to ``order``, None for the exact kernel; or "bilinear"
    x . y. ``normalise=False`` takes the rows as they are; ``reduction``: the "norm" |C^s - C^t|_F, or "norm_mean", the
    norm / N^2, instead of the mean of squares. ``CC.torchdistill`` is the form of that library. The paper's weight is
    0.003. Bilinear and order 1 take O(N d^2) time, order 2 O(N d^4) where d^3 < N; else O(N^2 d) in tiles. The authors
    draw batches that hold several nodes of each class, which is left to the loader.
    """

    on = "hidden"

    def __init__(
        self,
        kernel: CongruenceKernel = "gaussian",
        *,
        gamma: float = 0.4,
        order: int | None = 2,
        normalise: bool = True,
        reduction: CongruenceReduction = "mean",
        on: str | None = None,
        where: str | None = None,
    ) -> None:
        super().__init__(on=on, where=where)
        self.kernel: CongruenceKernel = kernel
        choose("kernel", kernel, get_args(CongruenceKernel))
        self.gamma, self.order, self.normalise = gamma, order, normalise
        self.reduction: CongruenceReduction = reduction
        choose("reduction", reduction, get_args(CongruenceReduction))

    @classmethod
    def torchdistill(
        cls, kernel: CongruenceKernel = "gaussian", *, gamma: float = 0.4, order: int = 2, on: str | None = None
    ) -> CC:
        """The form of torchdistill: |C^s - C^t|_F / N^2, not squared, of rows that are not normalised."""
        return cls(kernel, gamma=gamma, order=order, normalise=False, reduction="norm_mean", on=on)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """See the class."""
        return correlation_congruence(
            student,
            teacher,
            self.kernel,
            gamma=self.gamma,
            order=self.order,
            normalise=self.normalise,
            reduction=self.reduction,
        )


def adjacent_correlation(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean inner product of the absolute errors of adjacent rows: (N, d), (N, d) -> scalar.

    (1 / (N - 1)) sum_i |s_i - t_i| . |s_{i+1} - t_{i+1}|, which RepDistiller calls correlation congruence. It depends
    on the order of rows, hence no class; use ``CC``.
    """
    check_same_shape(student, teacher)
    error = (student - teacher).abs()
    return (error[:-1] * error[1:]).sum() / max(student.size(0) - 1, 1)


@dataclass(frozen=True)
class LogSimilarity:
    """Unit rows X (N, d) and F (d, d) with log(X X' + r I) = log(r) I + X F X'; its squared norm beyond log(r) I."""

    rows: Tensor
    factor: Tensor
    energy: Tensor

    @classmethod
    def of(cls, x: Tensor, ridge: float) -> LogSimilarity:
        """Of the rectified rows."""
        rows = F.normalize(x.to(accumulation_dtype(x)).relu(), dim=1)
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

    def __init__(self, ridge: float = 1e-3, *, on: str | None = None, where: str | None = None) -> None:
        super().__init__(on=on, where=where)
        self.ridge = ridge

    def digest(self, teacher: Tensor) -> LogSimilarity:
        """The logarithm of the teacher's similarities."""
        return LogSimilarity.of(teacher, self.ridge)

    def forward(self, student: Tensor, teacher: Tensor | LogSimilarity) -> Tensor:
        """See the class."""
        return log_euclidean(student, teacher, self.ridge)
