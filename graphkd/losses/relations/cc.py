"""Correlation congruence (CC): a kernel of all pairs of nodes, without its matrix."""

import math
from typing import Any, Literal, Self, Unpack

import torch
from torch import Tensor

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels import pair_divergence, series_divergence
from graphkd.kernels.norms import unit_vectors
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_rows, check_same_shape, choose

CongruenceKernel = Literal["gaussian", "bilinear"]

CongruenceReduction = Literal["mean", "norm", "norm_mean"]


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
    """Compute the difference of two matrices of pairwise kernels: (N, d_s), (N, d_t) -> scalar; see ``CC``.

    Example::

        >>> apart, alike = torch.eye(2), torch.ones(2, 2)
        >>> round(float(correlation_congruence(apart, alike, order=None)), 3)  # (1 - exp(-0.8))^2 / 2
        0.152
        >>> round(float(correlation_congruence(apart, alike, "bilinear", reduction="norm")), 3)  # sqrt(1 + 1)
        1.414
    """
    check_rows(student, teacher)
    choose("kernel", kernel, CongruenceKernel)
    choose("reduction", reduction, CongruenceReduction)
    student, teacher = (unit_vectors(x) if normalise else x.to(accumulation_dtype(x)) for x in (student, teacher))
    if kernel == "bilinear":
        value = series_divergence(student, teacher, (0.0, 1.0))
    elif order is None:
        value = pair_divergence(student, teacher, "rbf", sigma=1 / (2 * gamma))
    else:
        # exp(-gamma |x - y|^2) in x . y of unit rows: exp(-2 gamma) sum_p (2 gamma x . y)^p / p!
        series = [math.exp(-2 * gamma) * (2 * gamma) ** p / math.factorial(p) for p in range(order + 1)]
        value = series_divergence(student, teacher, series)
    if reduction == "mean":
        return value
    positive, rows = value > 0, max(student.size(0), 1)
    root = torch.where(positive, value, 1).sqrt() * positive
    return root * rows if reduction == "norm" else root / rows


class CC(Loss):
    """Match a kernel of all pairs of nodes: correlation congruence (CC). Peng et al., ICCV 2019, arXiv:1904.01802.

    (1/N^2) sum_ij (k(s_i, s_j) - k(t_i, t_j))^2 of unit rows; student: (N, d_s), teacher: (N, d_t). ``kernel``:
    "gaussian" exp(-gamma |x - y|^2), its series in x . y up to ``order``, None for the exact kernel; or "bilinear"
    x . y. ``normalise=False`` does not normalise rows. ``reduction``: the "mean" of squares, the "norm" |C^s - C^t|_F,
    or "norm_mean", the norm / N^2. ``CC.torchdistill`` is the form of that library. The paper's weight is 0.003.
    Bilinear and order 1 take O(N d^2) time, and order 2 takes O(N d^4) where d^3 < N; else O(N^2 d) in tiles. The
    authors draw batches with several nodes of each class; that is the loader's task.

    Example::

        >>> apart, alike = torch.eye(2), torch.ones(2, 2)
        >>> round(float(CC("bilinear")(apart, alike)), 3)  # 2 of the 4 cosines are 0 where the teacher has 1
        0.5
        >>> round(float(CC("bilinear")(3 * apart, apart)), 3)  # rows are compared as unit vectors
        0.0
        >>> loss = graphkd.losses.CE(where="train_mask") + 1000 * CC()
        >>> result = graphkd.distil(loss, student, teacher, data, hidden="convs.0", epochs=2, progress=False)
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
        **reads: Unpack[Reads],
    ) -> None:
        super().__init__(**reads)
        choose("kernel", kernel, CongruenceKernel)
        choose("reduction", reduction, CongruenceReduction)
        options = {"kernel": kernel, "gamma": gamma, "order": order, "normalise": normalise, "reduction": reduction}
        self.options: dict[str, Any] = options

    @classmethod
    def torchdistill(cls, kernel: CongruenceKernel = "gaussian", **options: Any) -> Self:
        """Make the form of torchdistill: |C^s - C^t|_F / N^2, not squared, of rows that are not normalised."""
        return cls(kernel, normalise=False, reduction="norm_mean", **options)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        return correlation_congruence(student, teacher, **self.options)


def adjacent_correlation(student: Tensor, teacher: Tensor) -> Tensor:
    """Average the inner products of the absolute errors of adjacent rows: (N, d), (N, d) -> scalar.

    (1 / (N - 1)) sum_i |s_i - t_i| . |s_{i+1} - t_{i+1}|, which RepDistiller calls correlation congruence. It depends
    on the order of rows, so that there is no loss class for it; use ``CC``.

    Example::

        >>> student = torch.tensor([[1.0, 0.0], [2.0, 1.0], [0.0, 3.0]])
        >>> float(adjacent_correlation(student, torch.zeros(3, 2)))  # (1 * 2 + 0 * 1 + 2 * 0 + 1 * 3) / 2
        2.5
    """
    check_same_shape(student, teacher)
    s, t = (x.to(accumulation_dtype(x)) for x in (student, teacher))
    error = (s - t).abs()
    return (error[:-1] * error[1:]).sum() / max(student.size(0) - 1, 1)


@method(
    "cc",
    family="relations",
    paper="Peng et al., ICCV 2019",
    arxiv="1904.01802",
    survey=(61, 65),
    tasks=("rows",),
    needs=("hidden",),
)
def cc_method(problem: Problem, *, weight: float = 1000.0) -> Loss:
    """Match a Gaussian kernel of all pairs of hidden rows, beside the labels.

    Choose it where near nodes should count more than far ones. The published weight, 0.003 for the same mean over
    pairs, is for use beside soft targets and has no effect alone; we chose ours on validation rows of Cora, from 10 to
    1000.
    """
    return problem.supervised() + weight * CC()
