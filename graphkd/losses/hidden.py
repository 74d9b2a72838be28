"""What a hidden layer shows: hints and attention."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from graphkd.core.loss import Loss
from graphkd.losses.checks import check_rows, check_same_shape, check_widths


def fitnet(student: Tensor, teacher: Tensor, *, normalise: bool = False) -> Tensor:
    """Mean squared difference of features of one width: (N, d), (N, d) -> scalar; see ``FitNet``."""
    check_same_shape(student, teacher, "; FitNet(student_width, teacher_width) projects the student")
    if normalise:
        student, teacher = F.normalize(student, dim=-1), F.normalize(teacher, dim=-1)
    return (student - teacher).square().sum() / max(student.numel(), 1)


class FitNet(Loss):
    """Regress the teacher's hidden features from the student's (hints). Romero et al., ICLR 2015, arXiv:1412.6550.

    (1 / N d_t) |W s + b - t|^2; student: (N, d_s), teacher: (N, d_t). With both widths given a linear projector
    d_s -> d_t trains with the student; without, the widths must agree. ``normalise`` compares L2-normalised rows, the
    node form of efficient-gnns. The paper has 1/2 |.|^2 per sample (d_t / 2 times this) and a first stage on hints
    alone; like RepDistiller, we train jointly.
    """

    on = "hidden"

    def __init__(
        self,
        student_width: int | None = None,
        teacher_width: int | None = None,
        *,
        normalise: bool = False,
        on: str | None = None,
        where: str | None = None,
    ) -> None:
        super().__init__(on=on, where=where)
        check_widths(student_width, teacher_width)
        self.normalise = normalise
        self.projector = (
            nn.Linear(student_width, teacher_width)
            if student_width is not None and teacher_width is not None
            else nn.Identity()
        )

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """See the class."""
        return fitnet(self.projector(student), teacher, normalise=self.normalise)


def attention_transfer(student: Tensor, teacher: Tensor, power: float = 2.0) -> Tensor:
    """Mean squared difference of unit-norm attention over nodes: (N, d_s), (N, d_t) -> scalar; see ``AT``."""
    check_rows(student, teacher)
    s, t = (F.normalize(x.abs().pow(power).sum(dim=-1), dim=-1) for x in (student, teacher))
    return (s - t).square().sum() / max(s.numel(), 1)


class AT(Loss):
    """Attention transfer: match how strongly each node is activated. Zagoruyko and Komodakis, ICLR 2017.

    a_i = sum_k |x_ik|^p, a / |a|_2 over the nodes of a graph; mean_i (a^s_i - a^t_i)^2 as in the authors' code (the
    paper, arXiv:1612.03928, takes the norm of the difference). student: (N, d_s), teacher: (N, d_t); widths may
    differ. Leading dimensions before N are graphs of equal size.
    """

    on = "hidden"

    def __init__(self, power: float = 2.0, *, on: str | None = None, where: str | None = None) -> None:
        super().__init__(on=on, where=where)
        self.power = power

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """See the class."""
        return attention_transfer(student, teacher, self.power)
