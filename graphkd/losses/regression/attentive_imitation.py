"""Imitation as far as the teacher is right, of outputs and of hidden features."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from graphkd.core.loss import Loss
from graphkd.losses._checks import check_rows, check_same_shape
from graphkd.losses.regression._errors import check_outputs, check_targets, row_mean, squared_errors


def imitation_weights(
    teacher: Tensor, y: Tensor, error_range: tuple[float, float] | None = None, *, clamp: bool = True
) -> Tensor:
    """How far to imitate each row, 1 - e / (max e - min e) of the teacher's squared errors: (N, k), (N, k) -> (N,).

    ``error_range`` gives their bounds over the training set, by default they are those of the rows. ``clamp``: 0 at
    least.
    """
    errors = squared_errors(teacher, y)
    if error_range is not None:
        spread = errors.new_tensor(error_range[1] - error_range[0])
    else:
        spread = errors.amax() - errors.amin() if errors.numel() else errors.new_zeros(())
    weights = 1 - errors / torch.where(spread > 0, spread, torch.inf)
    return weights.clamp_min(0) if clamp else weights


def attentive_imitation(
    student: Tensor,
    teacher: Tensor,
    y: Tensor,
    alpha: float = 0.5,
    *,
    error_range: tuple[float, float] | None = None,
    clamp: bool = True,
) -> Tensor:
    """Labels, and the teacher as far as it is right: (N, k) each -> scalar; see ``AttentiveImitation``."""
    check_outputs(student, teacher, y)
    weights = imitation_weights(teacher, y, error_range, clamp=clamp)
    return row_mean(alpha * squared_errors(student, y) + (1 - alpha) * weights * squared_errors(student, teacher))


class AttentiveImitation(Loss):
    """Imitate the teacher the less the more it errs. Saputra et al., ICCV 2019, arXiv:1908.00858 (attentive imitation).

    mean_i (alpha |s_i - y_i|^2 + (1 - alpha) w_i |s_i - t_i|^2), w_i = 1 - e_i / (max e - min e), e_i = |t_i - y_i|^2;
    student, teacher, y: (N, k). The paper's bounds of e are those of the training set, ``error_range``; without it they
    are those of the rows. Ours: w is 0 at least (``clamp``), and 1 where all errors are equal.
    """

    rows: ClassVar[tuple[str, ...]] = ("y",)

    def __init__(
        self,
        alpha: float = 0.5,
        *,
        error_range: tuple[float, float] | None = None,
        clamp: bool = True,
        on: str | None = None,
        where: str | None = None,
    ) -> None:
        super().__init__(on=on, where=where)
        self.alpha, self.error_range, self.clamp = alpha, error_range, clamp

    def forward(self, student: Tensor, teacher: Tensor, *, y: Tensor) -> Tensor:
        """See the class."""
        return attentive_imitation(student, teacher, y, self.alpha, error_range=self.error_range, clamp=self.clamp)


def attentive_hint(
    student: Tensor,
    teacher: Tensor,
    output: Tensor,
    y: Tensor,
    *,
    error_range: tuple[float, float] | None = None,
) -> Tensor:
    """Hidden features as far as the teacher's output is right: (N, d), (N, d), (N, k), (N, k) -> scalar."""
    check_same_shape(student, teacher)
    check_rows(student, output)
    check_targets(output, y)
    return row_mean(imitation_weights(output, y, error_range) * squared_errors(student, teacher))


class AttentiveHint(Loss):
    """Attentive hint training, the first stage of ``AttentiveImitation``. Saputra et al., ICCV 2019, arXiv:1908.00858.

    mean_i w_i |x_i - z_i|^2 of hidden features x of the student and z of the teacher, (N, d), and the weights that the
    teacher's outputs (N, k) earn against y. ``on`` names the features, then the outputs.
    """

    on = ("hidden", "logits")
    rows: ClassVar[tuple[str, ...]] = ("y",)

    def __init__(
        self,
        *,
        error_range: tuple[float, float] | None = None,
        on: tuple[str, str] | None = None,
        where: str | None = None,
    ) -> None:
        super().__init__(on=on, where=where)
        self.error_range = error_range

    def forward(self, student: tuple[Tensor, Tensor], teacher: tuple[Tensor, Tensor], *, y: Tensor) -> Tensor:
        """See the class."""
        return attentive_hint(student[0], *teacher, y, error_range=self.error_range)
