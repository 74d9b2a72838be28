"""RRD: a teacher's order of interesting items, above uninteresting ones."""

from __future__ import annotations

from torch import Tensor

from graphkd.core.loss import Loss
from graphkd.kernels.rankings.relaxed import relaxed_log_likelihood
from recsys.losses._scores import Reduction, check_scores, reduce, wide


def rrd(interesting: Tensor, uninteresting: Tensor, *, reduction: Reduction = "sum", squash: bool = False) -> Tensor:
    """Negative relaxed list likelihood: (R, K) best first, (R, L) -> scalar, (R,) for "none"; formula at ``RRD``."""
    check_scores(interesting=interesting, uninteresting=uninteresting)
    interesting, uninteresting = wide(interesting, uninteresting)
    if squash:
        interesting, uninteresting = interesting.sigmoid(), uninteresting.sigmoid()
    return reduce(-relaxed_log_likelihood(interesting, uninteresting), reduction)


class RRD(Loss):
    """Keep the teacher's order of interesting items, above all others. Kang et al., CIKM 2020, arXiv:2012.04357.

    - sum_u sum_k [s_k - log(sum_{i >= k} exp s_i + sum_j exp v_j)]: the order of K interesting items, best first, and
    their place above L uninteresting ones, whose own order is left open. student: scores s (R, K) and v (R, L), one row
    for each distinct user of the batch. ``reduction``: the authors' "sum", or the "mean" over rows. ``squash``: apply a
    sigmoid to the scores, as UnKD's code does, which also takes the mean. The authors' weight is 1e-3, beside the
    summed BPR; IR-RRD adds ``ItemRRD``. Computed in log space; O(R (K + L)).

    Example::

        >>> best, rest = torch.tensor([[3.0, 2.0]]), torch.tensor([[1.0, 0.0]])
        >>> RRD()((best, rest)) < RRD()((best.flip(1), rest))
        tensor(True)
        >>> torch.allclose(RRD()((best, rest)), RRD()((best, rest.flip(1))))
        True
    """

    on = ("interesting", "uninteresting")

    def __init__(
        self, *, reduction: Reduction = "sum", squash: bool = False, on: tuple[str, str] | None = None
    ) -> None:
        super().__init__(on=on)
        self.reduction: Reduction = reduction
        self.squash = squash

    def forward(self, student: tuple[Tensor, Tensor]) -> Tensor:
        """See the class."""
        return rrd(*student, reduction=self.reduction, squash=self.squash)
