"""Representational similarity (RSD, of NOSMOG): inner products of nodes behind a map of the student's hidden layer."""

from typing import Unpack

import torch.nn.functional as F
from torch import Tensor

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.losses._projector import Linear
from graphkd.losses.relations.cc import correlation_congruence


def representational_similarity(student: Tensor, teacher: Tensor) -> Tensor:
    """Compare all inner products by their mean squared difference: (N, d_s), (N, d_t) -> scalar; see ``RSD``.

    Example::

        >>> float(representational_similarity(torch.eye(2), torch.ones(2, 2)))  # (1, 0, 0, 1) and (2, 2, 2, 2): 10 / 4
        2.5
    """
    return correlation_congruence(student, teacher, "bilinear", normalise=False)


class RSD(Loss):
    """Match the inner products of nodes: representational similarity distillation. Tian et al. (NOSMOG), ICLR 2023.

    (1/N^2) |S S' - T T'|_F^2 with S = dropout(ReLU(W s + b)), rows not normalised; student: (N, width), teacher:
    (N, d_t). W is width x width and trains with the student. ``dropout`` follows the authors' code, which applies the
    student's own rate, reads both hidden layers before their ReLU and has the weight 0.1 on Cora and CiteSeer;
    arXiv:2208.10010. Computed by Gram matrices in O(N d^2) time; the authors build both N x N matrices.

    Example::

        >>> rsd = RSD(12)  # the width of the student's hidden layer
        >>> [tuple(parameter.shape) for parameter in rsd.parameters()]  # W and b, which train with the student
        [(12, 12), (12,)]
        >>> loss = graphkd.losses.CE(where="train_mask") + 0.1 * rsd
        >>> result = graphkd.distil(loss, student, teacher, data, hidden="convs.0", epochs=2, progress=False)
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
