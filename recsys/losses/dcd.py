"""DCD: items that the student ranks too low, above those that it ranks too high."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from recsys.losses._scores import Reduction, check_scores
from recsys.losses.rrd import RRD


class Discrepancy(NamedTuple):
    """How much too low and too high a student ranks each item of a teacher's list, and its ranks there: (R, K) each.

    Example::

        >>> found = rank_discrepancy(torch.tensor([[1.0, 3.0, 2.0]]))  # the student's scores of the teacher's list
        >>> found.rank.tolist(), (found.under > 0).tolist(), (found.over > 0).tolist()
        ([[2, 0, 1]], [[True, False, False]], [[False, True, True]])
    """

    under: Tensor
    over: Tensor
    rank: Tensor


@torch.no_grad()
def rank_discrepancy(scores: Tensor, *, sharpness: float = 0.1, floor: float = 0.0) -> Discrepancy:
    """DCD's weights of the positions of a teacher's list, from the student's scores of it (R, K), best first.

    under = tanh(max(ep (k_S - k_T), 0)), over = tanh(max(ep (k_T - k_S), 0)), ep being ``sharpness``, k_T the position
    in the list and k_S the student's rank within it, from 0; equal scores keep the teacher's order. ``DCD`` reads lists
    that are drawn by these weights without replacement. ``floor`` is their least value: 1e-5 in RCE-KD's copy, so that
    draws never run out. O(K log K) a row.
    """
    check_scores(scores=scores)
    rank = scores.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    behind = sharpness * (rank - torch.arange(scores.size(1), device=scores.device)).to(scores.dtype)
    under, over = (torch.tanh(gap.clamp_min(0)).clamp_min(floor) for gap in (behind, -behind))
    return Discrepancy(under, over, rank)


class DCD(RRD):
    """Rank what the student puts too low above what it puts too high (dual correction), by ``RRD``. CIKM 2021.

    Lee and Kim, arXiv:2109.03459. student: scores (R, K) of underestimated items in the teacher's order and (R, L) of
    overestimated ones, drawn by ``rank_discrepancy``; ``DCD.items()`` is the loss on lists of users. The authors redraw
    for each batch, and renew the weights every third epoch.

    Example::

        >>> under, over = torch.zeros(1, 2), torch.zeros(1, 1)
        >>> round(float(DCD()((under, over)).exp()), 3)  # two items to be first of three, then of two
        6.0
    """

    on = ("underestimated", "overestimated")

    @classmethod
    def items(cls, *, reduction: Reduction = "sum") -> DCD:
        """Make the loss of the item side, whose lists are of users."""
        return cls(reduction=reduction, on=("underestimated_users", "overestimated_users"))
