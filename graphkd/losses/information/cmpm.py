"""Cross-modal projection matching (CMPM): two views of the same things matched by projection."""

import math
from typing import Unpack

import torch
from torch import Tensor

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels import label_divergence
from graphkd.kernels.norms import unit_vectors
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_rows, check_same_shape, class_ids
from graphkd.losses._projector import projector
from graphkd.losses._rows import label_counts


def cmpm(student: Tensor, teacher: Tensor, y: Tensor | None = None, *, eps: float = 1e-8) -> Tensor:
    """Match projections in both directions: (N, d), (N, d), (N,) integers -> scalar; see ``CMPM``.

    Example::

        >>> rows = 20 * torch.eye(2)  # in both models each row is nearest to itself
        >>> abs(round(float(cmpm(rows, rows)), 3))
        0.0
        >>> round(float(cmpm(rows, rows, torch.tensor([0, 0]))), 3)  # of one class, both should be near: 2 log 2
        1.386
    """
    check_same_shape(student, teacher, "; CMPM(student_width, teacher_width) maps the student")
    y = torch.arange(student.size(0), device=student.device) if y is None else y
    y = class_ids(y, student.size(0))
    one, other = (x.to(accumulation_dtype(x)) for x in (student, teacher))
    hit, miss = (1 / label_counts(y).to(one.dtype) + eps).log(), math.log(eps)
    values = label_divergence(one, unit_vectors(other), y, hit, miss)
    values = values + label_divergence(other, unit_vectors(one), y, hit, miss)
    return values.sum() / max(student.size(0), 1)


class CMPM(Loss):
    """Match the projections of two views onto each other: CMPM. Zhang and Lu, ECCV 2018.

    mean_i sum_j p_ij log(p_ij / (q_ij + eps)) with p_ij = softmax_j(s_i . t_j / |t_j|) and q_ij = [y_i = y_j] /
    |class of i|, plus the same with s and t exchanged. student: (N, d_s), teacher: (N, d_t), two views of items or
    users; with both widths given, a linear layer d_s -> d_t trains with the student; otherwise the widths must agree.
    y: (N,) integers, the class or identity of each row; without it every row is its own class. The gradient also
    reaches a teacher that requires it. O(N^2 d) time in blocks, O(N d) memory.

    Example::

        >>> rows = 20 * torch.eye(2)
        >>> loss = CMPM()
        >>> abs(round(float(loss(rows, rows)), 2)), round(float(loss(rows, rows.flip(0))), 2)  # 0 and -2 log eps
        (0.0, 36.84)
        >>> objective = graphkd.losses.CE(where="train_mask") + 0.01 * CMPM(12, 12, where="train_mask")
        >>> result = graphkd.distil(objective, student, teacher, data, hidden="convs.0", epochs=2, progress=False)
    """

    on = "hidden"
    rows = ("y",)
    learns_labels = True

    def __init__(
        self,
        student_width: int | None = None,
        teacher_width: int | None = None,
        *,
        eps: float = 1e-8,
        **reads: Unpack[Reads],
    ) -> None:
        super().__init__(**reads)
        self.eps = eps
        self.projector = projector(student_width, teacher_width)

    def forward(self, student: Tensor, teacher: Tensor, *, y: Tensor | None = None) -> Tensor:
        check_rows(student, teacher)
        return cmpm(self.projector(student), teacher, y, eps=self.eps)


@method(
    "cmpm", family="information", paper="Zhang and Lu, ECCV 2018", survey=(127,), tasks=("classes",), needs=("hidden",)
)
def cmpm_method(problem: Problem, *, weight: float = 0.01) -> Loss:
    """Match embeddings of both models by projection with those of nodes of one class, beside the labels.

    Choose it where both models see different inputs of the same nodes. It reads the labelled nodes alone: with each
    node as its own class the softmax over hundreds of nodes is flat. A linear layer maps the student's hidden layer
    into the teacher's space. We chose the weight on validation nodes of Cora (CPF split).
    """
    return problem.supervised() + weight * CMPM(*problem.widths, where=problem.labelled)
