"""Predictions that go together with the teacher's, over classes and over rows (DIST)."""

from typing import Unpack

from torch import Tensor

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels.norms import correlations
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_positive, check_same_shape


def dist_relations(
    student: Tensor, teacher: Tensor, temperature: float = 1.0, *, eps: float = 1e-8
) -> tuple[Tensor, Tensor]:
    """Compute both parts of ``dist``, T^2 in each, of classes (inter) and rows (intra): (N, C), (N, C) -> two scalars.

    Example::

        >>> s = torch.tensor([[0.9, 0.1], [0.6, 0.4]]).log()
        >>> t = torch.tensor([[0.6, 0.4], [0.9, 0.1]]).log()
        >>> inter, intra = dist_relations(s, t)
        >>> round(float(inter), 3), round(float(intra), 3)  # classes in the same order, rows in the opposite one
        (0.0, 2.0)
    """
    check_same_shape(student, teacher)
    check_positive("temperature", temperature)
    # float64: at a high temperature entries differ from 1 / C by less than float32 resolves.
    p, q = ((x.double() / temperature).softmax(dim=-1) for x in (student, teacher))
    if p.size(0) == 0:
        return p.sum(), p.sum()
    wide = accumulation_dtype(student)
    inter, intra = (temperature**2 * (1 - correlations(p, q, dim, eps=eps)).mean().to(wide) for dim in (-1, 0))
    return inter, intra


def dist(
    student: Tensor,
    teacher: Tensor,
    temperature: float = 1.0,
    *,
    beta: float = 1.0,
    gamma: float = 1.0,
    eps: float = 1e-8,
) -> Tensor:
    """T^2 times weighted distances of correlations: (N, C), (N, C) -> scalar; see ``DIST``."""
    inter, intra = dist_relations(student, teacher, temperature, eps=eps)
    return beta * inter + gamma * intra


class DIST(Loss):
    """Match the correlations of predictions, over classes and over rows. Huang et al., NeurIPS 2022, arXiv:2205.10536.

    T^2 (beta mean_i (1 - r(p_i, q_i)) + gamma mean_c (1 - r(p_c, q_c))), r Pearson's correlation of a row i (inter) or
    a column c (intra) of p = softmax(s / T), q = softmax(t / T); student, teacher: (N, C). eps is added to the product
    of the norms, as in the authors' code. A constant row or column has r = 0 without gradient; eps alone would give it
    a gradient of 1 / eps. With one row the intra part is constant; with two classes the inter part of a row is 0 or 2.
    The authors use T = 1 or 4 and the weight 2 beside CE. For lists of items, inter is over a user's candidates and
    intra over users, for items in all lists. O(N C).

    Example::

        >>> t = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3]])
        >>> flatter = 0.5 * t + 0.5 / 3  # less sure, and fully correlated
        >>> round(float(DIST()(flatter.log(), t.log())), 3)
        0.0
        >>> round(float(graphkd.losses.KL()(flatter.log(), t.log())), 3)
        0.067
        >>> result = graphkd.distil(2.0 * DIST(), student, teacher, data, epochs=2, progress=False)
    """

    answers = "classes"

    def __init__(
        self,
        temperature: float = 1.0,
        *,
        beta: float = 1.0,
        gamma: float = 1.0,
        eps: float = 1e-8,
        **reads: Unpack[Reads],
    ) -> None:
        super().__init__(**reads)
        self.temperature = check_positive("temperature", temperature)
        self.beta, self.gamma, self.eps = beta, gamma, eps

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        return dist(student, teacher, self.temperature, beta=self.beta, gamma=self.gamma, eps=self.eps)


@method(
    "dist",
    family="response",
    paper="Huang et al., NeurIPS 2022",
    arxiv="2205.10536",
    survey=(60, 64),
    tasks=("classes",),
)
def dist_method(
    problem: Problem, *, weight: float = 2.0, temperature: float = 1.0, beta: float = 1.0, gamma: float = 1.0
) -> Loss:
    """Match how answers correlate with the teacher's, over classes and over rows, beside the labels.

    Choose it where the teacher is much stronger than the student: the student need not match its exact probabilities.
    ``beta`` weighs correlations over classes, ``gamma`` those over rows.
    """
    return problem.supervised() + weight * DIST(temperature, beta=beta, gamma=gamma)
