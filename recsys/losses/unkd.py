"""UnKD: pairs in the teacher's order, drawn inside groups of equal popularity."""

from __future__ import annotations

from torch import Tensor

from graphkd.core.loss import Loss
from recsys.losses._scores import Reduction, check_scores, log_sigmoid, reduce, wide


def unkd(better: Tensor, worse: Tensor, *, eps: float = 0.0, reduction: Reduction = "mean") -> Tensor:
    """-log(sigma(better - worse) + eps) of pairs: (R, P), (R, P) -> scalar, (R, P) for "none"; see ``UnKD``."""
    check_scores(better=better, worse=worse)
    better, worse = wide(better, worse)
    return reduce(-log_sigmoid(better - worse, eps), reduction)


class UnKD(Loss):
    """Keep the teacher's order of pairs within groups of equal popularity. Chen et al., WSDM 2023, arXiv:2211.14729.

    -(1/R) sum_u (1/P) sum_{(i, j) of u} log(sigma(s(u, i) - s(u, j)) + eps); student: scores (R, P) of the better and
    of the worse items, all groups side by side. A user counts once for each row. The drawn pairs carry the teacher's
    order and the groups. ``reduction``: the "mean" over users and their pairs, as in the authors' code (their paper
    sums over the pairs of a user: P times the weight), or the "sum". ``eps``: 1e-10 in the authors' code; 0 here, in
    log space. Their swap voids half of all pairs, so that half their weight has the same effect here.

    Example::

        >>> UnKD()((torch.tensor([[1.0, 30.0]]), torch.tensor([[1.0, 0.0]])))  # (log 2 + 0) / 2
        tensor(0.3466)
    """

    on = ("better", "worse")

    def __init__(self, *, eps: float = 0.0, reduction: Reduction = "mean", on: tuple[str, str] | None = None) -> None:
        super().__init__(on=on)
        self.eps = eps
        self.reduction: Reduction = reduction

    def forward(self, student: tuple[Tensor, Tensor]) -> Tensor:
        """See the class."""
        return unkd(*student, eps=self.eps, reduction=self.reduction)
