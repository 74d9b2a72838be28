"""Regression bounded by the teacher's error."""

from typing import Unpack

import torch
import torch.nn.functional as F
from torch import Tensor

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import beside
from graphkd.losses.regression._errors import check_outputs, check_targets, row_mean, squared_errors


def is_bounded(student: Tensor, teacher: Tensor, y: Tensor, margin: float = 0.0) -> Tensor:
    """Mark rows where the student's squared error plus ``margin`` is above the teacher's: (N, k) each -> (N,).

    Example::

        >>> s, t, y = torch.ones(2, 1), torch.tensor([[0.5], [3.0]]), torch.zeros(2, 1)
        >>> is_bounded(s, t, y)  # better than the teacher in the second row
        tensor([ True, False])
        >>> is_bounded(s, t, y, margin=9.0)
        tensor([True, True])
    """
    return squared_errors(student.detach(), y) + margin > squared_errors(teacher, y)


def bounded_error(student: Tensor, teacher: Tensor, y: Tensor, margin: float = 0.0) -> Tensor:
    """Average over rows the student's squared error where ``is_bounded``, else 0: (N, k) each -> scalar.

    Example::

        >>> s, t, y = torch.ones(2, 1), torch.tensor([[0.5], [3.0]]), torch.zeros(2, 1)
        >>> bounded_error(s, t, y)  # (1 + 0) / 2: better than the teacher in the second row
        tensor(0.5000)
        >>> bounded_error(s, t, y, margin=9.0)
        tensor(1.)
    """
    check_outputs(student, teacher, y)
    return row_mean(torch.where(is_bounded(student, teacher, y, margin), squared_errors(student, y), 0))


def smooth_l1(student: Tensor, y: Tensor) -> Tensor:
    """Sum Huber's loss with delta 1 over the outputs of a row, mean over rows: (N, k), (N, k) -> scalar.

    Example::

        >>> smooth_l1(torch.tensor([[0.5, 3.0]]), torch.zeros(1, 2))  # 0.5^2 / 2 + 3 - 1/2
        tensor(2.6250)
        >>> smooth_l1(torch.tensor([[1.0], [3.0]]), torch.zeros(2, 1))  # (1/2 + 5/2) / 2
        tensor(1.5000)
    """
    check_targets(student, y)
    y = beside(y, student)
    wide = accumulation_dtype(student)
    return F.smooth_l1_loss(student.to(wide), y.to(wide), reduction="sum") / max(student[..., 0].numel(), 1)


def teacher_bounded(student: Tensor, teacher: Tensor, y: Tensor, *, nu: float = 0.5, margin: float = 0.0) -> Tensor:
    """``smooth_l1`` plus nu times ``bounded_error``: (N, k) each -> scalar; see ``TeacherBounded``."""
    return smooth_l1(student, y) + nu * bounded_error(student, teacher, y, margin)


class TeacherBounded(Loss):
    """Learn numbers, and more where the student's error is above the teacher's. Chen et al., NeurIPS 2017.

    mean_i (H(s_i - y_i) + nu [|s_i - y_i|^2 + margin > |t_i - y_i|^2] |s_i - y_i|^2), H Huber's loss with delta 1,
    summed over the k outputs; student, teacher, y: (N, k), k = 1 for ratings. The gradient pulls to the target, never
    to the teacher, which only decides whether the second term counts. The margin is on the student's side, as printed:
    the term also counts where the student is a little better. The paper has nu = 0.5 and does not give the margin.

    Example::

        >>> s, y = torch.tensor([[1.0]]), torch.tensor([[0.0]])
        >>> TeacherBounded(nu=0.5)(s, torch.tensor([[0.5]]), y=y)  # the teacher is better: 1/2 + nu 1^2
        tensor(1.)
        >>> TeacherBounded(nu=0.5)(s, torch.tensor([[3.0]]), y=y)  # it is worse
        tensor(0.5000)
        >>> data.y, task, loss = data.x[:, :3], graphkd.tasks.Regression(), TeacherBounded(where="train_mask")
        >>> result = graphkd.distil(loss, student, teacher, data, task=task, epochs=2, progress=False)
    """

    rows = ("y",)

    def __init__(self, nu: float = 0.5, margin: float = 0.0, **reads: Unpack[Reads]) -> None:
        super().__init__(**reads)
        self.nu, self.margin = nu, margin

    def forward(self, student: Tensor, teacher: Tensor, *, y: Tensor) -> Tensor:
        return teacher_bounded(student, teacher, y, nu=self.nu, margin=self.margin)


@method("teacher_bounded", family="regression", paper="Chen et al., NeurIPS 2017", survey=(45,), tasks=("regression",))
def teacher_bounded_method(problem: Problem, *, nu: float = 0.5, margin: float = 0.0) -> Loss:
    """Learn numbers, the more where the student is worse than the teacher.

    Choose it where the teacher's errors bound what can be reached but its answers are no good targets: it decides only
    whether a row's squared error is added to Huber's loss. The paper does not give the margin.
    """
    return 1.0 * TeacherBounded(nu, margin, where=problem.labelled)
