"""Representational similarity (RSD, of NOSMOG): how alike nodes are in what a student makes of its hidden layer."""

from typing import Unpack

import torch.nn.functional as F
from torch import Tensor

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.losses._projector import Linear
from graphkd.losses.relations.cc import correlation_congruence


def representational_similarity(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of all inner products: (N, d_s), (N, d_t) -> scalar; see ``RSD``."""
    return correlation_congruence(student, teacher, "bilinear", normalise=False)


class RSD(Loss):
    """Representational similarity distillation: match the inner products of nodes. Tian et al. (NOSMOG), ICLR 2023.

    (1/N^2) |S S' - T T'|_F^2 with S = dropout(ReLU(W s + b)), rows not normalised; student: (N, width), teacher:
    (N, d_t). W is width x width and trains with the student; the dropout is the authors' code's, which applies the
    student's own. Both hidden layers are taken before their ReLU there, and the weight is 0.1 on Cora and CiteSeer.
    arXiv:2208.10010. By Gram matrices, O(N d^2) time, where the authors build both N x N matrices.
    """

    on = "hidden"

    def __init__(self, width: int, *, dropout: float = 0.0, **reads: Unpack[Reads]) -> None:
        super().__init__(**reads)
        self.head = Linear(width, width)
        self.dropout = dropout

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        encoded = F.dropout(self.head(student).relu(), self.dropout, self.training)
        return representational_similarity(encoded, teacher)


@method(
    "rsd", family="relations", paper="Tian et al., ICLR 2023", arxiv="2208.10010", tasks=("rows",), needs=("hidden",)
)
def rsd_method(problem: Problem, *, weight: float = 0.1) -> Loss:
    """Match the inner products of all pairs of hidden rows behind a linear map, beside the labels.

    Choose it for an MLP that learns a GNN's similarities of nodes; it is the part of NOSMOG that needs no positions.
    The weight is the paper's for Cora and CiteSeer.
    """
    return problem.supervised() + weight * RSD(problem.widths[0])
