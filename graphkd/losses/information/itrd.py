"""Information-theoretic representation distillation (ITRD): correlated channels, entropies of Gram matrices."""

from typing import Unpack

from torch import Tensor

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels import affinity_divergence, gram
from graphkd.kernels.norms import absolute_powers, deviations, unit_vectors
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_positive, check_rows, check_same_shape
from graphkd.losses._projector import projector


def itrd_correlation(student: Tensor, teacher: Tensor, alpha: float = 1.5) -> Tensor:
    """Measure how far channels are from being correlated: (N, d), (N, d) -> scalar; see ``ITRDCorrelation``.

    Example::

        >>> x = torch.tensor([[0.0], [1.0]])  # equal features: c = (N - 1) / N = 1/2
        >>> [round(float(itrd_correlation(x, x, alpha)), 3) for alpha in (1.0, 1.5)]  # log2 of (1/2)^2 and (1/2)^3
        [-2.0, -3.0]
    """
    check_same_shape(student, teacher, "; ITRDCorrelation(student_width, teacher_width) projects the student")
    if student.size(0) < 2:  # no deviation, and nothing to correlate
        return (student.to(accumulation_dtype(student)) * 0).sum()
    s, t = (_standardised(x) for x in (student, teacher))
    correlation = (s * t).sum(dim=0) / student.size(0)
    return absolute_powers(correlation - 1, 2 * alpha).sum().log2()


def _standardised(x: Tensor) -> Tensor:
    return unit_vectors(deviations(x, 0), 0) * (x.size(0) - 1) ** 0.5  # unbiased deviations, as in the authors' code


class ITRDCorrelation(Loss):
    """Match every channel's correlation with the teacher's. Miles et al., BMVC 2022, arXiv:2112.00459 (ITRD).

    c_k = (1/N) sum_i zscore(P s)_ik zscore(t)_ik, log2 sum_k |c_k - 1|^(2 alpha); student: (N, d_s), teacher: (N, d_t).
    With both widths given, a linear map P: d_s -> d_t trains with the student; otherwise the widths must agree.
    Deviations are unbiased and the product is divided by N, as in the authors' code: equal features give c = (N - 1) /
    N and a finite least value. A constant channel has c = 0; a single row gives the loss 0. The authors' weight is 2,
    their alpha 1.01 to 1.5. O(N d) time.

    Example::

        >>> x = torch.tensor([[0.0], [1.0]])  # below: invariant to scale and shift, not to sign
        >>> [round(float(ITRDCorrelation()(features, x)), 3) for features in (x, 5 * x + 1, -x)]
        [-3.0, -3.0, 1.755]
        >>> loss = graphkd.losses.CE(where="train_mask") + 2 * ITRDCorrelation(12, 12)
        >>> result = graphkd.distil(loss, student, teacher, data, hidden="convs.0", epochs=2, progress=False)
    """

    on = "hidden"

    def __init__(
        self,
        student_width: int | None = None,
        teacher_width: int | None = None,
        alpha: float = 1.5,
        **reads: Unpack[Reads],
    ) -> None:
        super().__init__(**reads)
        self.alpha = check_positive("alpha", alpha)
        self.projector = projector(student_width, teacher_width)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        check_rows(student, teacher)
        return itrd_correlation(self.projector(student), teacher, self.alpha)


def itrd_mutual(student: Tensor, teacher: Tensor) -> Tensor:
    """Subtract the joint purity of similarities from the student's: (N, d_s), (N, d_t) -> scalar; see ``ITRDMutual``.

    Example::

        >>> apart, alike = torch.eye(2), torch.ones(2, 2)
        >>> round(float(itrd_mutual(alike, apart)), 3)  # purities 1 of the student, 1/2 of both together
        0.5
    """
    check_rows(student, teacher)
    s, t = (unit_vectors(x) for x in (student, teacher))
    squares = [x.square().sum(dim=1).double() for x in (s, t)]
    # Traces count the non-zero rows; with none the sums are 0, and the clamp avoids 0 / 0.
    alone, joint = (trace.sum().clamp_min(0.5) for trace in (squares[0], squares[0] * squares[1]))
    once = s.new_ones(s.size(0))
    overlap = affinity_divergence(s, t, once, once, "dot", "product")
    return (gram(s, s).square().sum() / alone**2 - overlap / joint**2).to(s.dtype)


class ITRDMutual(Loss):
    """Maximise the matrix entropy that both models share. Miles et al., BMVC 2022, arXiv:2112.00459 (ITRD).

    sum G_s^2 - sum G_st^2, with G_s and G_t the cosine similarities of all pairs and G_st their entry-wise product,
    each divided by its trace: the order-2 entropies of the paper without their logarithms, as in the authors' code.
    student: (N, d_s), teacher: (N, d_t); the widths may differ. With both widths given, a linear map d_s -> d_t trains
    with the student, as the authors do where widths differ. Their weight is 0.05, in some runs 1. sum G_s^2 comes from
    a d x d Gram matrix, sum G_st^2 from O(N^2 d) time in tiles; O(N d + d^2) memory.

    Example::

        >>> x = torch.eye(3)
        >>> abs(round(float(ITRDMutual()(5 * x, x)), 3))  # distinct rows on both sides: nothing to gain
        0.0
        >>> loss = graphkd.losses.CE(where="train_mask") + 20 * ITRDMutual(12, 12)
        >>> result = graphkd.distil(loss, student, teacher, data, hidden="convs.0", epochs=2, progress=False)
    """

    on = "hidden"

    def __init__(
        self, student_width: int | None = None, teacher_width: int | None = None, **reads: Unpack[Reads]
    ) -> None:
        super().__init__(**reads)
        self.projector = projector(student_width, teacher_width)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        return itrd_mutual(self.projector(student), teacher)


@method(
    "itrd_correlation",
    family="information",
    paper="Miles et al., BMVC 2022",
    arxiv="2112.00459",
    survey=(203,),
    tasks=("rows",),
    needs=("hidden",),
)
def itrd_correlation_method(problem: Problem, *, weight: float = 2.0, alpha: float = 1.5) -> Loss:
    """Correlate every channel of the hidden layer with the teacher's, beside the labels.

    Choose it where time is short: it is linear in nodes and widths, and a linear map joins the two widths.
    """
    return problem.supervised() + weight * ITRDCorrelation(*problem.widths, alpha)


@method(
    "itrd_mutual",
    family="information",
    paper="Miles et al., BMVC 2022",
    arxiv="2112.00459",
    survey=(203,),
    tasks=("rows",),
    needs=("hidden",),
)
def itrd_mutual_method(problem: Problem, *, weight: float = 20.0) -> Loss:
    """Maximise the matrix entropy that the similarities of hidden rows share, beside the labels.

    Choose it beside ``itrd_correlation``: the authors add the two. Both entropies are means over all pairs. The
    published weight, 0.05 or 1 beside that larger loss, is too small for this loss alone: we chose the weight on
    validation rows of Cora, from 0.05 to 20.
    """
    return problem.supervised() + weight * ITRDMutual(*problem.widths)
