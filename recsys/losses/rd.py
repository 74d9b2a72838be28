"""RD: a teacher's top items as weighted positives."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from graphkd.core.loss import Loss
from graphkd.losses._checks import choose
from recsys.losses._scores import Reduction, check_scores, log_sigmoid, reduce, wide

Weighting = Literal["static", "dynamic", "hybrid"]
_MOST_COUNTED = 128  # scores in a row; beyond this, sorting costs less than pairwise comparison


class RDWeights(NamedTuple):
    """Weights of a teacher's list: by position (K,), by rank discrepancy (R, K), and the weights used (R, K).

    Example::

        >>> found = rd_weights(torch.tensor([[5.0, 0.0]]), torch.tensor([[1.0, 2.0]]), num_items=101)
        >>> [round(each, 3) for each in found.static.tolist()]
        [0.731, 0.269]
        >>> found.weight  # the student ranks the first item high already
        tensor([[0., 1.]])
    """

    static: Tensor
    dynamic: Tensor
    weight: Tensor


def position_weights(length: int, decay: float = 1.0, like: Tensor | None = None) -> Tensor:
    """Compute exp(-(r + 1) / decay) for the positions r of a list, normalised to sum 1: (length,)."""
    positions = torch.arange(length, dtype=torch.float64, device=None if like is None else like.device)
    weights = (-positions / decay).softmax(dim=0)
    return weights if like is None else weights.to(like.dtype)


@torch.no_grad()
def discrepancy_weights(
    top: Tensor, sampled: Tensor, num_items: int, sharpness: float = 0.1, first_rank: int = 0
) -> Tensor:
    """tanh(max(mu (estimated rank - position), 0)): (R, K), (R, Q) -> (R, K), constant.

    The student's rank is floor((num_items - 1) #{sampled scores above} / Q) + ``first_rank``. It has Q + 1 possible
    values, so the weights of each position come from a table. O(K Q) a row by counting, O((Q + K) log Q) by sorting
    where K is large.
    """
    check_scores(top=top, sampled=sampled)
    size, length = sampled.size(1), top.size(1)
    above = (_counted if length <= _MOST_COUNTED else _sorted)(top.detach(), sampled.detach())
    # This order, and float64, matter: exact multiples of 1 / Q may fall to either side of floor.
    shares = torch.arange(size + 1, dtype=torch.float64, device=top.device) / max(size, 1)
    rank = torch.floor((num_items - 1) * shares) + first_rank
    positions = torch.arange(length, device=top.device)
    table = torch.tanh(sharpness * (rank - positions[:, None]).clamp_min(0)).to(top.dtype)
    return table.flatten().index_select(0, (above + (size + 1) * positions).flatten()).view(top.shape)


def _counted(top: Tensor, sampled: Tensor) -> Tensor:
    """Count a row's sampled scores above each of ``top``, (R, K) int64, by pairwise comparison."""
    top, sampled = wide(top, sampled)
    ones = torch.empty_like(sampled)  # comparison in floats takes a third of the time of one in bytes
    above = [torch.gt(sampled, scores[:, None], out=ones).sum(dim=1) for scores in top.t()]
    return torch.stack(above, dim=1).long() if above else top.long()


def _sorted(top: Tensor, sampled: Tensor) -> Tensor:
    """Count as ``_counted`` does, after sorting the sampled scores once."""
    ordered = sampled.sort(dim=1).values.contiguous()
    return sampled.size(1) - torch.searchsorted(ordered, top.contiguous(), right=True)


def rd_weights(
    top: Tensor,
    sampled: Tensor | None = None,
    *,
    weighting: Weighting = "hybrid",
    decay: float = 1.0,
    sharpness: float = 0.1,
    num_items: int | None = None,
    first_rank: int = 0,
    renormalise: bool = True,
) -> RDWeights:
    """Compute RD's weights of the list with student scores ``top`` (R, K), by sampled scores (R, Q); see ``RD``."""
    choose("weighting", weighting, ("static", "dynamic", "hybrid"))
    (top,) = wide(top)
    static = position_weights(top.size(1), decay, top)
    dynamic = torch.ones_like(top, requires_grad=False)
    if weighting != "static":
        if sampled is None or num_items is None:
            missing = "sampled" if sampled is None else "num_items"
            raise ValueError(f"weighting={weighting!r} estimates the student's ranks: give '{missing}', got None")
        dynamic = discrepancy_weights(top, sampled, num_items, sharpness, first_rank)
    weight = dynamic if weighting == "dynamic" else dynamic * static
    return RDWeights(static, dynamic, F.normalize(weight, p=1, dim=1) if renormalise else weight)


def rd(top: Tensor, weight: Tensor, *, average_items: bool = False, reduction: Reduction = "mean") -> Tensor:
    """Compute the log loss of a teacher's items as weighted positives: (R, K), (R, K) or (K,) -> scalar; see ``RD``."""
    check_scores(top=top)
    (top,) = wide(top)
    rows = -(weight * log_sigmoid(top)).sum(dim=1)
    return reduce(rows / max(top.size(1), 1) if average_items else rows, reduction)


class RD(Loss):
    """Take the teacher's top items as weighted positives (RD). Tang and Wang, KDD 2018, arXiv:1809.07428.

    -(1/R) sum_u sum_r w_r log sigma(s(u, pi_r)); student: scores ``top`` (R, K) of the teacher's best unseen items,
    best first, and ``sampled`` (R, Q) of uniform unseen items, which estimate the ranks R_r. Position importance a_r ~
    exp(-(r+1) / decay), normalised; ranking discrepancy b_r = tanh(max(mu (R_r - r), 0)), mu being ``sharpness``, R_r =
    floor((num_items - 1) #{sampled above} / Q). ``weighting``: "static" a, "dynamic" b, "hybrid" a before
    ``start_epoch`` and a b from then on, epochs counted from 0. Weights have no gradient. ``renormalise`` scales the
    hybrid and dynamic weights of a row to sum 1, as the paper does; the authors' code does not (False). The authors add
    this loss, with weight 1, to ``LogLoss``; the paper takes a convex combination. Their ``num_items`` counts the
    padding item. O(K Q) a row, or O((K + Q) log Q), see ``discrepancy_weights``.

    Example::

        >>> loss = RD(weighting="static")
        >>> good, poor = torch.tensor([[3.0, 1.0]]), torch.tensor([[1.0, 3.0]])  # of the teacher's list, best first
        >>> loss((good,)) < loss((poor,))
        tensor(True)
        >>> round(float(loss((torch.zeros(1, 2),)).exp()), 3)  # weights sum to 1
        2.0
    """

    on = ("top", "sampled")

    def __init__(
        self,
        num_items: int | None = None,
        *,
        weighting: Weighting = "hybrid",
        decay: float = 1.0,
        sharpness: float = 0.1,
        start_epoch: int = 10,
        renormalise: bool = True,
        first_rank: int = 0,
        average_items: bool = False,
        on: tuple[str, ...] | None = None,
    ) -> None:
        super().__init__(on=on or (("top",) if weighting == "static" else None))
        self.weighting: Weighting = weighting
        self.start_epoch, self.epoch, self.average_items = start_epoch, 0, average_items
        self.options: dict[str, Any] = {
            "num_items": num_items,
            "decay": decay,
            "sharpness": sharpness,
            "first_rank": first_rank,
            "renormalise": renormalise,
        }

    @classmethod
    def unkd(cls, num_items: int, *, start_epoch: int = 100, renormalise: bool = True, **options: Any) -> RD:
        """Make the form in UnKD's code: ranks from 1 against positions from 0, the mean over the items of a list."""
        return cls(
            num_items, start_epoch=start_epoch, renormalise=renormalise, first_rank=1, average_items=True, **options
        )

    def set_epoch(self, epoch: int, epochs: int) -> None:  # noqa: ARG002 - the base gives both
        """Use hybrid weights from ``start_epoch`` on."""
        self.epoch = epoch

    def weights(self, top: Tensor, sampled: Tensor | None = None) -> RDWeights:
        """Compute the weights of this epoch."""
        early = self.weighting == "hybrid" and self.epoch < self.start_epoch
        return rd_weights(top, sampled, weighting="static" if early else self.weighting, **self.options)

    def forward(self, student: tuple[Tensor, ...]) -> Tensor:
        """See the class."""
        return rd(student[0], self.weights(*student).weight, average_items=self.average_items)
