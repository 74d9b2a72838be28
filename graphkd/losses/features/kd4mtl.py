"""One task's teacher for a student of several tasks (KD4MTL)."""

from typing import Unpack

import torch
from torch import Tensor

from graphkd.core.loss import Loss, Reads
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_same_shape
from graphkd.losses._projector import projector


def kd4mtl(student: Tensor, teacher: Tensor, *, eps: float = 1e-6) -> Tensor:
    """Average squared differences of unit features over rows: (N, d), (N, d) -> scalar; see ``KD4MTL``."""
    check_same_shape(student, teacher, "; KD4MTL(student_width, teacher_width) adapts the student")
    s, t = (_directed(x.to(accumulation_dtype(x)), eps) for x in (student, teacher))
    return (s - t).square().sum() / max(s[..., 0].numel(), 1)


def _directed(x: Tensor, eps: float) -> Tensor:
    """Divide rows by sqrt(|x|^2 + eps); rows of zeros, where the slope is largest, stay zero without gradient."""
    squared = x.square().sum(dim=-1, keepdim=True)
    return x * torch.where(squared > 0, squared + eps, torch.inf).rsqrt()


class KD4MTL(Loss):
    """Match the teacher of one task in a student of several. Li and Bilen, 2020, arXiv:2007.06889 (KD4MTL).

    mean_i |u(A s_i) - u(t_i)|^2, u(x) = x / sqrt(|x|^2 + eps); student: (N, d_s) features that the tasks share,
    teacher: (N, d_t) features of a network trained on this task alone. A: d_s -> d_t, linear without bias, trains with
    the student; without widths it is the identity. A row of zeros stays zero, without gradient. Add one such loss per
    task, weighted (1, 1, 2 in the paper), to the tasks' own losses.

    Example::

        >>> t = torch.tensor([[3.0, 4.0]])
        >>> [round(float(KD4MTL()(s, t)), 3) for s in (2 * t, t.flip(1), -t)]  # 2 - 2 cos
        [0.0, 0.08, 4.0]
        >>> loss = graphkd.losses.CE(where="train_mask") + KD4MTL(12, 12)  # of one task
        >>> result = graphkd.distil(loss, student, teacher, data, hidden="convs.0", epochs=2, progress=False)
    """

    on = "hidden"

    def __init__(
        self,
        student_width: int | None = None,
        teacher_width: int | None = None,
        *,
        eps: float = 1e-6,
        **reads: Unpack[Reads],
    ) -> None:
        super().__init__(**reads)
        self.eps = eps
        self.adapter = projector(student_width, teacher_width, bias=False)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        return kd4mtl(self.adapter(student), teacher, eps=self.eps)
