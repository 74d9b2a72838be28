"""Softmax regression representation learning: features seen by the teacher's classifier (SRRL)."""

from typing import Unpack

import torch
from torch import Tensor

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_same_shape
from graphkd.losses._projector import projector
from graphkd.losses.features.fitnet import fitnet


def softmax_regression(student: Tensor, teacher: Tensor, weight: Tensor) -> Tensor:
    """Average squared differences of a classifier on both features: (N, d), (N, d), (C, d) -> scalar.

    Example::

        >>> s, t, weight = torch.tensor([[1.0, 5.0]]), torch.tensor([[0.0, 0.0]]), torch.tensor([[2.0, 0.0]])
        >>> softmax_regression(s, t, weight)  # (2 * 1)^2: the second feature does not count
        tensor(4.)
    """
    check_same_shape(student, teacher, "; SRRL(weight, student_width) connects the student")
    wide = accumulation_dtype(student)
    with torch.autocast(student.device.type, enabled=False):  # subtract first: near features keep digits
        gap = (student.to(wide) - teacher.to(wide)) @ weight.to(wide).t()
    return gap.square().sum() / max(gap.numel(), 1)


def srrl(student: Tensor, teacher: Tensor, weight: Tensor, *, regression: float = 1.0) -> Tensor:
    """Sum ``fitnet`` and ``regression`` times ``softmax_regression``: (N, d), (N, d), (C, d) -> scalar."""
    answers = softmax_regression(student, teacher, weight)
    return fitnet(student, teacher) + regression * answers


class SRRL(Loss):
    """Match features, and the teacher's classifier on them (softmax regression). Yang et al., ICLR 2021.

    (1 / N d) |r(s) - t|^2 + regression (1 / N C) |W r(s) - W t|^2, W the teacher's frozen classifier (C, d), whose
    bias cancels; student: (N, d_s), teacher: (N, d), the features that W reads. With ``student_width`` given, a linear
    connector r, d_s -> d, trains with the student (the authors': convolution, batch norm, ReLU); otherwise the widths
    must agree. Both weights are 1 in their code. For rankings W is the teacher's item table, which scores the student's
    users. Despite the name, the loss compares logits, not their softmax.

    Example::

        >>> loss, t = SRRL(torch.tensor([[1.0, 0.0]])), torch.zeros(1, 2)
        >>> float(loss(torch.tensor([[0.0, 2.0]]), t)), float(loss(torch.tensor([[2.0, 0.0]]), t))
        (2.0, 6.0)
        >>> loss = SRRL(teacher.convs[1].lin.weight, 12)  # of the layer after the hidden one
        >>> result = graphkd.distil(loss, student, teacher, data, hidden="convs.0", epochs=2, progress=False)
    """

    on = "hidden"
    weight: Tensor

    def __init__(
        self, weight: Tensor, student_width: int | None = None, *, regression: float = 1.0, **reads: Unpack[Reads]
    ) -> None:
        super().__init__(**reads)
        self.regression = regression
        self.register_buffer("weight", weight.detach().clone())
        self.connector = projector(student_width, None if student_width is None else weight.size(1))

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        return srrl(self.connector(student), teacher, self.weight, regression=self.regression)


@method(
    "srrl",
    family="features",
    paper="Yang et al., ICLR 2021",
    survey=(195,),
    tasks=("classes", "regression"),
    needs=("hidden",),
    cannot={"ensemble": "it reads the weights of the teacher's last layer"},
)
def srrl_method(problem: Problem, *, weight: float = 1.0, regression: float = 1.0) -> Loss:
    """Match hidden rows and what the teacher's last layer answers to them, beside the labels.

    Choose it where features should match the teacher's in what decides about classes. ``hidden`` is the layer that the
    teacher's last layer reads; ValueError where the teacher has no weight of shape (C, d_t).
    """
    loss = SRRL(_classifier(problem), problem.widths[0], regression=regression)
    return problem.supervised() + weight * loss


def _classifier(problem: Problem) -> Tensor:
    """Find the teacher's last weight matrix from its hidden layer to its answers, (C, d_t)."""
    shape, model = (problem.classes, problem.widths[1]), problem.teacher.model
    found = [parameter.detach() for parameter in model.parameters() if parameter.shape == shape]
    if not found:
        raise ValueError(
            f"'srrl' needs a weight of the teacher from the hidden layer to the answers, of shape {shape}, "
            f"{type(model).__name__} has none: give the layer before the last as 'hidden'"
        )
    return found[-1]
