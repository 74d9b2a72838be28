"""BPR: the observed item of each pair above the sampled one."""

from __future__ import annotations

from torch import Tensor

from graphkd.core.loss import Loss
from recsys.losses._scores import Reduction, check_scores, log_sigmoid, reduce, wide


def bpr(positive: Tensor, negative: Tensor, *, reduction: Reduction = "sum") -> Tensor:
    """-log sigma(positive - negative) of pairs: (R, P), (R, P) -> scalar, (R, P) for "none"; see ``BPR``."""
    check_scores(positive=positive, negative=negative)
    positive, negative = wide(positive, negative)
    return reduce(-log_sigmoid(positive - negative), reduction)


class BPR(Loss):
    """Rank observed items above sampled ones, the usual base loss (BPR). Rendle et al., UAI 2009, arXiv:1205.2618.

    - sum log sigma(s(u, i) - s(u, j)); student: scores of the positives and of the negatives, (R, P) each, or one of
    them (R, 1). ``reduction``: the "sum" over pairs, to which the weights of DE, RRD, FTD and HTD are tuned, or their
    "mean". Raises ValueError for different numbers of rows.

    Example::

        >>> BPR()((torch.tensor([[1.0], [30.0]]), torch.tensor([[1.0], [0.0]])))  # log 2 for a tie, 0 for a right order
        tensor(0.6931)
        >>> from recsys.models import MF
        >>> result = recsys.distil(BPR(), MF(170, 180, width=4), None, split, epochs=2, progress=False)
    """

    on = ("positive", "negative")

    def __init__(self, *, reduction: Reduction = "sum", on: tuple[str, str] | None = None) -> None:
        super().__init__(on=on)
        self.reduction: Reduction = reduction

    def forward(self, student: tuple[Tensor, Tensor]) -> Tensor:
        """See the class."""
        return bpr(*student, reduction=self.reduction)
