"""Distance of a student's numbers from a teacher's: the soft targets of a regression."""

from __future__ import annotations

from torch import Tensor

from graphkd.core.loss import Loss
from graphkd.losses._checks import check_same_shape
from graphkd.losses.regression._errors import row_mean, squared_errors


def number_distance(student: Tensor, teacher: Tensor, *, y_scale: Tensor | None = None) -> Tensor:
    """Average the squared distance of numbers in units of their spread over rows: (N, k), (N, k) -> scalar."""
    check_same_shape(student, teacher)
    return row_mean(squared_errors(student, teacher, y_scale))


class NumberDistance(Loss):
    """Match a teacher's numbers. Ba and Caruana, NIPS 2014, arXiv:1312.6184, for real answers.

    mean_i sum_j ((s_ij - t_ij) / c_j)^2; student, teacher: (N, k). y_scale: (k,) the spread c_j of each target, a batch
    input that tasks of several targets provide; c_j is 1 without it.

    Example::

        >>> s, t = torch.zeros(1, 2), torch.tensor([[3.0, 4.0]])
        >>> NumberDistance()(s, t)
        tensor(25.)
        >>> NumberDistance()(s, t, y_scale=torch.tensor([1.0, 2.0]))  # 3^2 + (4 / 2)^2
        tensor(13.)
        >>> data.y, task = data.x[:, :3], graphkd.tasks.Regression()
        >>> result = graphkd.distil(NumberDistance(), student, teacher, data, task=task, epochs=2, progress=False)
    """

    def forward(self, student: Tensor, teacher: Tensor, *, y_scale: Tensor | None = None) -> Tensor:
        return number_distance(student, teacher, y_scale=y_scale)
