"""Squared error of the labels: what a regression learns alone."""

from torch import Tensor

from graphkd.core.loss import Loss
from graphkd.losses.regression._errors import check_targets, row_mean, squared_errors


def squared_error(student: Tensor, y: Tensor) -> Tensor:
    """Squared distance of outputs from their targets, the mean over rows: (N, k), (N, k) -> scalar."""
    if student.dim() != 2:
        raise ValueError(
            f"outputs of a regression must have shape (N, k), (N, 1) for one number, got {tuple(student.shape)}: "
            "give 'student' a second dimension"
        )
    check_targets(student, y)
    return row_mean(squared_errors(student, y))


class SquaredError(Loss):
    """Squared error of the outputs with real-valued labels ``y``, mean over rows; ``where`` for labelled ones.

    mean_i |s_i - y_i|^2; student, y: (N, k). Half of it is the negative log likelihood of a normal distribution.
    """

    rows = ("y",)

    def forward(self, student: Tensor, *, y: Tensor) -> Tensor:
        return squared_error(student, y)
