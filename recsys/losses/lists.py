"""Lists: a teacher's order of interesting rows above uninteresting ones (RRD, IR-RRD), drawn by discrepancy (DCD)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from graphkd.core.loss import Loss
from graphkd.kernels import ranking_log_likelihood
from recsys.losses.common import Reduction, check_scores, reduce


def rrd(interesting: Tensor, uninteresting: Tensor, *, reduction: Reduction = "sum", squash: bool = False) -> Tensor:
    """Negative relaxed list likelihood: (R, K) best first, (R, L) -> scalar, (R,) for "none"; formula at ``RRD``."""
    check_scores(interesting=interesting, uninteresting=uninteresting)
    if squash:
        interesting, uninteresting = interesting.sigmoid(), uninteresting.sigmoid()
    return reduce(-ranking_log_likelihood(interesting, uninteresting.logsumexp(dim=1)), reduction)


class RRD(Loss):
    """Relaxed ranking distillation. Kang et al., CIKM 2020, arXiv:2012.04357; item side: Information Sciences 2021.

    - sum_u sum_k [s_k - log(sum_{i >= k} exp s_i + sum_j exp v_j)]: the order of K interesting items, best first, and
    their place above L uninteresting ones, whose own order is left open. student: scores s (R, K) and v (R, L), one
    row for each distinct user of the batch. ``reduction``: the authors' "sum", or the "mean" over rows.
    ``squash``: a sigmoid on the scores, as in UnKD's code, which takes the mean too.
    IR-RRD adds the same loss with items for rows and users in the lists: ``RRD.items()``. The authors' weights are
    1e-3 for users and 5e-4 for items, beside the summed BPR. In log space; O(R (K + L)).
    """

    on = ("interesting", "uninteresting")

    def __init__(
        self, *, reduction: Reduction = "sum", squash: bool = False, on: tuple[str, str] | None = None
    ) -> None:
        super().__init__(on=on)
        self.reduction: Reduction = reduction
        self.squash = squash

    @classmethod
    def items(cls, *, reduction: Reduction = "sum") -> RRD:
        """The item side of IR-RRD: lists of users, for the distinct items in the lists of this batch's users."""
        return cls(reduction=reduction, on=("interesting_users", "uninteresting_users"))

    def forward(self, student: tuple[Tensor, Tensor]) -> Tensor:
        """See the class."""
        return rrd(*student, reduction=self.reduction, squash=self.squash)


class Discrepancy(NamedTuple):
    """Where a student ranks a teacher's list too low and too high, and its ranks there: (R, K) each."""

    under: Tensor
    over: Tensor
    rank: Tensor


@torch.no_grad()
def rank_discrepancy(scores: Tensor, *, sharpness: float = 0.1, floor: float = 0.0) -> Discrepancy:
    """DCD's weights of the positions of a teacher's list, from the student's scores of it (R, K), best first.

    under = tanh(max(ep (k_S - k_T), 0)), over = tanh(max(ep (k_T - k_S), 0)), ep being ``sharpness``, k_T the position
    in the list and k_S the student's rank within it, from 0; equal scores keep the teacher's order. Lists for ``DCD``
    are drawn by these weights without replacement; RCE-KD's copy floors them at 1e-5, so that draws never run out.
    O(K log K) a row.
    """
    check_scores(scores=scores)
    rank = scores.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    behind = sharpness * (rank - torch.arange(scores.size(1), device=scores.device)).to(scores.dtype)
    under, over = (torch.tanh(gap.clamp_min(0)).clamp_min(floor) for gap in (behind, -behind))
    return Discrepancy(under, over, rank)


class DCD(RRD):
    """Dual correction: ``RRD`` on what the student ranks too low, above what it ranks too high. CIKM 2021.

    Lee and Kim, arXiv:2109.03459. student: scores (R, K) of underestimated items in the teacher's order and (R, L) of
    overestimated ones, drawn by ``rank_discrepancy``; ``DCD.items()`` is the item side. The authors redraw for each
    batch, and renew the weights every third epoch.
    """

    on = ("underestimated", "overestimated")

    @classmethod
    def items(cls, *, reduction: Reduction = "sum") -> DCD:
        """The item side: lists of users."""
        return cls(reduction=reduction, on=("underestimated_users", "overestimated_users"))
