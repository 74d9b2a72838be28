"""Predictions that go together with the teacher's, over classes and over rows (DIST)."""

from typing import Unpack

import torch
from torch import Tensor

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_positive, check_same_shape


def _pearson_distance(one: Tensor, other: Tensor, dim: int, eps: float) -> Tensor:
    """One minus Pearson's correlation along ``dim``, the mean over the other dimension; eps beside the norms."""
    a, b = (x - x.mean(dim=dim, keepdim=True) for x in (one, other))
    norms = torch.linalg.vector_norm(a, dim=dim) * torch.linalg.vector_norm(b, dim=dim)
    correlations = (a * b).sum(dim=dim) / (norms + eps)
    return (1 - correlations).sum() / max(correlations.numel(), 1)


def dist_relations(
    student: Tensor, teacher: Tensor, temperature: float = 1.0, *, eps: float = 1e-8
) -> tuple[Tensor, Tensor]:
    """The parts of ``dist``, T^2 in each, over classes (inter) and over rows (intra): (N, C), (N, C) -> two scalars."""
    check_same_shape(student, teacher)
    check_positive("temperature", temperature)
    p, q = ((x.to(accumulation_dtype(x)) / temperature).softmax(dim=-1) for x in (student, teacher))
    inter, intra = (temperature**2 * _pearson_distance(p, q, dim, eps) for dim in (-1, 0))
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
    of the norms, as in the authors' code. One row has no intra part, and two classes leave 0 or 2 to a row's inter
    part. T is 1 or 4 there, the weight 2 beside CE. In lists of items: inter over a user's candidates, intra over
    users, for items in all lists. O(N C).
    """

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


@method("dist", family="response", paper="Huang et al., NeurIPS 2022", arxiv="2205.10536")
def dist_method(
    problem: Problem, *, weight: float = 2.0, temperature: float = 1.0, beta: float = 1.0, gamma: float = 1.0
) -> Loss:
    """Match how answers correlate with the teacher's, over classes and over rows, beside the labels.

    Choose it where the teacher is much stronger than the student, which then need not repeat its exact probabilities.
    ``beta`` weighs correlations over classes, ``gamma`` those over rows.
    """
    return problem.supervised() + weight * DIST(temperature, beta=beta, gamma=gamma)
