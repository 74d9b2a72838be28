"""The log loss of observed against sampled items."""

from __future__ import annotations

from torch import Tensor

from graphkd.core.loss import Loss
from recsys.losses._scores import Reduction, check_scores, log_sigmoid, reduce, wide


def log_loss(positive: Tensor, negative: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """Binary cross-entropy summed over the columns of a row: (R, P), (R, N) -> scalar; see ``LogLoss``."""
    check_scores(positive=positive, negative=negative)
    positive, negative = wide(positive, negative)
    return reduce(-log_sigmoid(positive).sum(dim=1) - log_sigmoid(-negative).sum(dim=1), reduction)


class LogLoss(Loss):
    """Classify observed against sampled items, the base loss of RD: Tang and Wang, KDD 2018, arXiv:1809.07428.

    (1/R) sum_u [- sum_i log sigma(s(u, i)) - sum_j log sigma(-s(u, j))]; student: scores (R, P) of observed and (R, N)
    of sampled items.

    Example::

        >>> positive, negative = torch.zeros(1, 1), torch.zeros(1, 2)
        >>> round(float(LogLoss()((positive, negative)).exp()), 3)  # three items, each with the chance 1/2
        8.0
    """

    on = ("positive", "negative")

    def __init__(self, *, reduction: Reduction = "mean", on: tuple[str, str] | None = None) -> None:
        super().__init__(on=on)
        self.reduction: Reduction = reduction

    def forward(self, student: tuple[Tensor, Tensor]) -> Tensor:
        """See the class."""
        return log_loss(*student, reduction=self.reduction)
