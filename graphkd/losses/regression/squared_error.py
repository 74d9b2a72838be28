"""Squared error of the labels: what a regression learns alone."""

import torch
from torch import Tensor

from graphkd.core.loss import Loss
from graphkd.losses._checks import beside
from graphkd.losses.regression._errors import check_targets, row_mean, squared_errors


def squared_error(student: Tensor, y: Tensor, *, y_scale: Tensor | None = None) -> Tensor:
    """Average squared distances of outputs from targets over rows: (N, k), (N, k) -> scalar; see ``SquaredError``."""
    if student.dim() != 2:
        raise ValueError(
            f"outputs of a regression must have shape (N, k), (N, 1) for one number, got {tuple(student.shape)}: "
            "give 'student' a second dimension"
        )
    check_targets(student, y)
    y = beside(y, student)
    known = torch.where(y.isnan(), student.detach().to(y), y) if y.is_floating_point() else y
    return row_mean(squared_errors(student, known, y_scale))


class SquaredError(Loss):
    """Learn real-valued labels ``y`` by the squared error, mean over rows; ``where`` for labelled ones.

    mean_i sum_j ((s_ij - y_ij) / c_j)^2; student, y: (N, k). y_scale: (k,) the spread c_j of each target, a batch
    input; c_j is 1 without it. Targets that are NaN (unknown) add 0. Half the loss is the negative log likelihood of
    normal distributions.

    Example::

        >>> y = torch.tensor([[3.0, 4.0], [0.0, float("nan")]])
        >>> SquaredError()(torch.zeros(2, 2), y=y)  # (3^2 + 4^2 + 0) / 2 rows
        tensor(12.5000)
        >>> loss = SquaredError(where="train_mask")
        >>> data.y, task = data.x[:, :3], graphkd.tasks.Regression()
        >>> result = graphkd.distil(loss, student, None, data, task=task, epochs=2, progress=False)
    """

    rows = ("y",)

    def forward(self, student: Tensor, *, y: Tensor, y_scale: Tensor | None = None) -> Tensor:
        return squared_error(student, y, y_scale=y_scale)
