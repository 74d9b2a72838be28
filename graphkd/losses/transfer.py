"""Outputs and features regressed through what is frozen or shared: SRRL, KD for several tasks, growing label sets."""

from __future__ import annotations

import torch
from torch import Tensor

from graphkd.core.loss import Loss
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_rows, check_same_shape
from graphkd.losses.hidden import fitnet, projector


def softmax_regression(student: Tensor, teacher: Tensor, weight: Tensor) -> Tensor:
    """Mean squared difference of the teacher's classifier on both features: (N, d), (N, d), (C, d) -> scalar."""
    check_same_shape(student, teacher, "; SRRL(weight, student_width) connects the student")
    wide = accumulation_dtype(student)
    with torch.autocast(student.device.type, enabled=False):  # the difference first: a bias cancels, digits do not
        gap = (student.to(wide) - teacher.to(wide)) @ weight.to(wide).t()
    return gap.square().sum() / max(gap.numel(), 1)


def srrl(student: Tensor, teacher: Tensor, weight: Tensor, *, regression: float = 1.0) -> Tensor:
    """Matched features plus ``regression`` times matched answers of the teacher's classifier; see ``SRRL``."""
    answers = softmax_regression(student, teacher, weight)
    return fitnet(student, teacher) + regression * answers


class SRRL(Loss):
    """Softmax regression representation learning. Yang et al., ICLR 2021.

    (1 / N d) |r(s) - t|^2 + regression (1 / N C) |W r(s) - W t|^2, W the teacher's frozen classifier (C, d), whose
    bias cancels; student: (N, d_s), teacher: (N, d), features before it. With ``student_width`` given a linear
    connector r, d_s -> d, trains with the student (the authors': convolution, batch norm, ReLU); without, the widths
    must agree. Both weights are 1 in their code. For rankings W is the teacher's item table: scores of the student's
    users against it. Despite the name the answers are compared as logits, not after softmax.
    """

    on = "hidden"
    weight: Tensor

    def __init__(
        self,
        weight: Tensor,
        student_width: int | None = None,
        *,
        regression: float = 1.0,
        on: str | None = None,
        where: str | None = None,
    ) -> None:
        super().__init__(on=on, where=where)
        self.regression = regression
        self.register_buffer("weight", weight.detach().clone())
        self.connector = projector(student_width, None if student_width is None else weight.size(1))

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """See the class."""
        return srrl(self.connector(student), teacher, self.weight, regression=self.regression)


def kd4mtl(student: Tensor, teacher: Tensor, *, eps: float = 1e-6) -> Tensor:
    """Squared difference of unit features, mean over rows: (N, d), (N, d) -> scalar; see ``KD4MTL``."""
    check_same_shape(student, teacher, "; KD4MTL(student_width, teacher_width) adapts the student")
    wide = (x.to(accumulation_dtype(x)) for x in (student, teacher))
    s, t = (x / (x.square().sum(dim=-1, keepdim=True) + eps).sqrt() for x in wide)
    return (s - t).square().sum() / max(s[..., 0].numel(), 1)


class KD4MTL(Loss):
    """One task's teacher for a student of several tasks. Li and Bilen, 2020, arXiv:2007.06889 (KD4MTL).

    mean_i |u(A s_i) - u(t_i)|^2, u(x) = x / sqrt(|x|^2 + eps); student: (N, d_s) features that tasks share, teacher:
    (N, d_t) those of a network trained on this task alone. A, d_s -> d_t, linear without bias, trains with the student;
    without widths there is none. One such loss a task, weighted (1, 1, 2 in the paper), beside the tasks' own.
    """

    on = "hidden"

    def __init__(
        self,
        student_width: int | None = None,
        teacher_width: int | None = None,
        *,
        eps: float = 1e-6,
        on: str | None = None,
        where: str | None = None,
    ) -> None:
        super().__init__(on=on, where=where)
        self.eps = eps
        self.adapter = projector(student_width, teacher_width, bias=False)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """See the class."""
        return kd4mtl(self.adapter(student), teacher, eps=self.eps)


def centred_logits(student: Tensor, teacher: Tensor, classes: int | None = None) -> Tensor:
    """Mean squared difference of centred logits of old classes: (N, C), (N, A) -> scalar; see ``CentredLogits``."""
    check_rows(student, teacher)
    old = teacher.size(-1) if classes is None else classes
    if not 0 < old <= min(student.size(-1), teacher.size(-1)):
        raise ValueError(
            f"the old classes, {old}, must be among those of both sides, got {student.size(-1)} and {teacher.size(-1)}"
        )
    s, t = (x[..., :old] - x[..., :old].mean(dim=-1, keepdim=True) for x in (student, teacher))
    return (s - t).square().sum() / max(s.numel(), 1)


class CentredLogits(Loss):
    """Keep the answers for old classes while new ones are learnt. Shmelkov et al., ICCV 2017, arXiv:1708.06977.

    (1 / N A) sum_ic ((s_ic - mean s_i) - (t_ic - mean t_i))^2, means and sum over the A old classes; student: (N, C),
    the old classes first, teacher: (N, A). ``classes`` says how many are old, by default as many as the teacher has.
    Learning without forgetting (Li and Hoiem, 2016) has ``KL(2.0)`` there instead.
    """

    def __init__(self, classes: int | None = None, *, on: str | None = None, where: str | None = None) -> None:
        super().__init__(on=on, where=where)
        self.classes = classes

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """See the class."""
        return centred_logits(student, teacher, self.classes)
