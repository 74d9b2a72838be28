"""Click-through rates: what the losses on clicks share, and a teacher's, or several teachers', soft clicks.

A click is binary, so a model shows one logit a row: (N,), or (N, T) for T tasks on the same rows.
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphkd.core.loss import Loss
from graphkd.losses._checks import check_positive


def click_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy with targets in [0, 1], the mean over all entries: (...), (...) -> scalar."""
    if target.shape != logits.shape:
        raise ValueError(f"targets must have the shape of the logits, {tuple(logits.shape)}, got {tuple(target.shape)}")
    total = F.binary_cross_entropy_with_logits(logits, target.to(logits.dtype), reduction="sum")
    return total / max(logits.numel(), 1)


class Clicks(Loss):
    """Binary cross-entropy of the logits with clicks ``y``, the mean over entries; student, y: (N,) or (N, T)."""

    rows: ClassVar[tuple[str, ...]] = ("y",)

    def forward(self, student: Tensor, *, y: Tensor) -> Tensor:
        """See the class."""
        return click_loss(student, y)


def mixed_clicks(teacher: Tensor, gate: Tensor | None = None, temperature: float = 1.0) -> Tensor:
    """What teachers say together: (N,), or (N, M) with weights (N, M) -> probabilities (N,), see ``SoftClicks``.

    Cross-entropy is linear in its target, so the gated sum of M losses is one loss against the gated sum of targets.
    """
    soft = torch.sigmoid(teacher / check_positive("temperature", temperature))
    if gate is None:
        return soft
    if gate.shape != teacher.shape or gate.dim() != 2:
        raise ValueError(
            f"'gate' must weight every teacher of every row, {tuple(teacher.shape)}, got {tuple(gate.shape)}"
        )
    return (gate * soft).sum(dim=1)


def soft_clicks(student: Tensor, teacher: Tensor, gate: Tensor | None = None, temperature: float = 1.0) -> Tensor:
    """Cross-entropy with soft clicks: (N,), (N,) or (N, M), None or (N, M) -> scalar; formula at ``SoftClicks``."""
    return click_loss(student / temperature, mixed_clicks(teacher, gate, temperature))


class SoftClicks(Loss):
    """Soft clicks of one teacher, or of several, gated by row. Zhu et al., CIKM 2020, arXiv:2011.04106.

    mean_n sum_i a_ni bce(sigma(t_ni / T), s_n / T), a_n = softmax(W t_n + b) over M teachers; bce(q, x) = -q log
    sigma(x) - (1 - q) log sigma(-x). student: (N,) logits; teacher: (N,), or (N, M) where ``teachers`` = M is given:
    the gate (W, b) then trains with the student, from equal weights on. No T^2: whether the authors have one, and
    whether their gate reads logits or probabilities, is not known to us; here it reads logits. Their total is
    ``w_ce * Clicks() + w_kd * SoftClicks(teachers=M)``, hints apart. ``held_out`` stops on this loss, which needs no
    labels. O(N M^2).
    """

    def __init__(
        self, temperature: float = 1.0, *, teachers: int | None = None, on: str | None = None, where: str | None = None
    ) -> None:
        super().__init__(on=on, where=where)
        self.temperature = check_positive("temperature", temperature)
        self.gate = None if teachers is None else nn.Linear(teachers, teachers)
        if self.gate is not None:
            nn.init.zeros_(self.gate.weight)
            nn.init.zeros_(self.gate.bias)

    def weights(self, teacher: Tensor) -> Tensor | None:
        """How far each teacher of each row counts: (N, M), summing to 1; None without a gate."""
        return None if self.gate is None else self.gate(teacher).softmax(dim=1)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """See the class."""
        return soft_clicks(student, teacher, self.weights(teacher), self.temperature)


def click_hint(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared distance of hidden vectors, the mean over rows: (N, d), (N, d) -> scalar; see ``ClickHint``."""
    if student.shape != teacher.shape or student.dim() != 2:
        raise ValueError(
            f"'student' and 'teacher' must be matrices of one shape, got {tuple(student.shape)} and "
            f"{tuple(teacher.shape)}; ClickHint(student_width, teacher_width) projects the student"
        )
    return (student - teacher).square().sum() / max(student.size(0), 1)


class ClickHint(Loss):
    """The hint of ensembled click-through prediction. Zhu et al., CIKM 2020, arXiv:2011.04106.

    mean_n |t_n - W s_n|^2, W trained, without a bias; student: (N, d_s), teacher: (N, d_t), tapped hidden layers.
    ``FitNet`` divides by d_t as well, and its projector has a bias.
    """

    on = "hidden"

    def __init__(
        self, student_width: int, teacher_width: int, *, on: str | None = None, where: str | None = None
    ) -> None:
        super().__init__(on=on, where=where)
        self.projector = nn.Linear(student_width, teacher_width, bias=False)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """See the class."""
        return click_hint(self.projector(student), teacher)
