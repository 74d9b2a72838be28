"""Cross-modal projection classification (CMPC): the projection of one view onto the other predicts the class."""

from typing import Unpack

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels.norms import unit_vectors
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_rows, check_same_shape, class_ids
from graphkd.losses._projector import check_width, projector


def cmpc(student: Tensor, teacher: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    """Classify projections in both directions: (N, d), (N, d), (N,), (C, d) -> scalar; see ``CMPC``.

    Example::

        >>> student, teacher, y = torch.tensor([[4.0, 0.0]]), torch.tensor([[2.0, 0.0]]), torch.tensor([0])
        >>> round(float(cmpc(student, teacher, y, weight=torch.eye(2))), 3)  # log(1 + e^-4) + log(1 + e^-2)
        0.145
    """
    check_same_shape(student, teacher, "; CMPC(classes, width, student_width) maps the student")
    check_width("student", student, weight.size(1))
    y = class_ids(y, student.size(0), weight.size(0))
    unit, (s, t) = unit_vectors(weight), (x.to(accumulation_dtype(x)) for x in (student, teacher))
    total = s.new_zeros(())
    for x, onto in ((s, t), (t, s)):
        direction = unit_vectors(onto)
        logits = (x * direction).sum(dim=1, keepdim=True) * (direction @ unit.t())
        total = total + F.cross_entropy(logits, y, reduction="sum")
    return total / max(student.size(0), 1)


class CMPC(Loss):
    """Classify the projections of two views onto each other: CMPC. Zhang and Lu, ECCV 2018.

    mean_i CE(W x, y_i) with x = (s_i . t_i) t_i / |t_i|^2 and the rows of W (C, d) as unit vectors, plus the same with
    s and t exchanged; W trains with the student. teacher: (N, d), y: (N,) integers in [0, C); student: (N, d), or
    (N, student_width) where ``student_width`` is given: then a linear layer to d trains with the student. width: d.

    Example::

        >>> loss, y = CMPC(classes=3, width=2), torch.tensor([0])
        >>> value = loss(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]), y=y)
        >>> round(value.item(), 3)  # orthogonal rows: both projections are 0, and all classes equally likely, 2 log 3
        2.197
        >>> objective = graphkd.losses.CE(where="train_mask") + 0.03 * CMPC(3, 12, 12, where="train_mask")
        >>> result = graphkd.distil(objective, student, teacher, data, hidden="convs.0", epochs=2, progress=False)
    """

    on = "hidden"
    rows = ("y",)

    def __init__(self, classes: int, width: int, student_width: int | None = None, **reads: Unpack[Reads]) -> None:
        super().__init__(**reads)
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(classes, width)))
        self.projector = projector(student_width, width if student_width is not None else None)

    def forward(self, student: Tensor, teacher: Tensor, *, y: Tensor) -> Tensor:
        check_rows(student, teacher)
        return cmpc(self.projector(student), teacher, y, self.weight)


@method(
    "cmpc", family="information", paper="Zhang and Lu, ECCV 2018", survey=(127,), tasks=("classes",), needs=("hidden",)
)
def cmpc_method(problem: Problem, *, weight: float = 0.03) -> Loss:
    """Classify the embeddings of either model projected onto the other's, beside the labels.

    Choose it beside ``cmpm``, as its authors do, with many labels: its classifier learns from the labelled nodes alone.
    We chose the weight on validation rows of Cora, from 0.03 to 1; the published weight 1 swamps the labels. A linear
    layer maps the student's hidden layer into the teacher's space.
    """
    own, other = problem.widths
    return problem.supervised() + weight * CMPC(problem.classes, other, own, where=problem.labelled)
