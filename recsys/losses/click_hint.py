"""The hint of ensembled click-through prediction."""

from __future__ import annotations

from torch import Tensor

from graphkd.core.loss import Loss
from graphkd.losses._projector import projector
from recsys.losses._scores import wide


def click_hint(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared distance of hidden vectors, the mean over rows: (N, d), (N, d) -> scalar; see ``ClickHint``."""
    if student.shape != teacher.shape or student.dim() != 2:
        raise ValueError(
            f"'student' and 'teacher' must be matrices of one shape, got {tuple(student.shape)} and "
            f"{tuple(teacher.shape)}; ClickHint(student_width, teacher_width) projects the student"
        )
    student, teacher = wide(student, teacher)
    return (student - teacher).square().sum() / max(student.size(0), 1)


class ClickHint(Loss):
    """Match a teacher's hidden layer for click-through prediction (hint). Zhu et al., CIKM 2020, arXiv:2011.04106.

    mean_n |t_n - W s_n|^2, W trained, without a bias; student: (N, d_s), teacher: (N, d_t), hidden layers. ``FitNet``
    also divides by d_t, and its projector has a bias.

    Example::

        >>> loss = ClickHint(student_width=3, teacher_width=4)
        >>> loss(torch.zeros(2, 3), torch.ones(2, 4))  # the projection of zeros is zero
        tensor(4., grad_fn=<...>)
    """

    on = "hidden"

    def __init__(
        self, student_width: int, teacher_width: int, *, on: str | None = None, where: str | None = None
    ) -> None:
        super().__init__(on=on, where=where)
        self.projector = projector(student_width, teacher_width, bias=False)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """See the class."""
        return click_hint(self.projector(student), teacher)
