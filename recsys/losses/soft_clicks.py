"""Soft clicks of one teacher, or of several, gated by row."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graphkd.core.loss import Loss
from graphkd.losses._checks import check_positive
from recsys.losses._scores import wide
from recsys.losses.clicks import click_loss


def mixed_clicks(teacher: Tensor, gate: Tensor | None = None, temperature: float = 1.0) -> Tensor:
    """Mix the soft clicks of teachers: (N,), or (N, M) with weights (N, M) -> probabilities (N,), see ``SoftClicks``.

    Cross-entropy is linear in its target, so the gated sum of M losses is one loss against the gated sum of targets.
    """
    (teacher,) = wide(teacher)
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
    (student,) = wide(student)
    return click_loss(student / temperature, mixed_clicks(teacher, gate, temperature))


class SoftClicks(Loss):
    """Match soft clicks of one teacher, or of several, gated by row. Zhu et al., CIKM 2020, arXiv:2011.04106.

    mean_n sum_i a_ni bce(sigma(t_ni / T), s_n / T), a_n = softmax(W t_n + b) over M teachers; bce(q, x) = -q log
    sigma(x) - (1 - q) log sigma(-x). student: (N,) logits; teacher: (N,), or (N, M) where ``teachers`` = M is given:
    the gate (W, b) then trains with the student, from equal weights on. No factor T^2: we do not know whether the
    authors have one, nor whether their gate reads logits, as ours does, or probabilities. Their total is
    ``w_ce * Clicks() + w_kd * SoftClicks(teachers=M)``, hints apart. ``held_out`` stops training early by this loss,
    which needs no labels. O(N M^2).

    Example::

        >>> loss = SoftClicks(teachers=2)
        >>> teachers = torch.tensor([[3.0, -3.0]])  # of one row, who contradict each other
        >>> loss.weights(teachers).tolist()
        [[0.5, 0.5]]
        >>> round(loss(torch.zeros(1), teachers).exp().item(), 3)
        2.0
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
        """Compute the weight of each teacher for each row: (N, M), summing to 1; None without a gate."""
        return None if self.gate is None else self.gate(teacher).softmax(dim=1)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """See the class."""
        return soft_clicks(student, teacher, self.weights(teacher), self.temperature)
