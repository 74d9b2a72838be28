"""HetComp: the agreed ranking of several teachers of different kinds, from early training stages to the last."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from graphkd.core.loss import Loss
from graphkd.kernels import ranking_log_likelihood
from graphkd.losses._checks import choose
from recsys.data.interactions import Interactions
from recsys.data.lists import Lists
from recsys.losses._scores import check_scores, wide

Phase = Literal["overall", "rank"]
_PHASES = ("overall", "rank")


def _rest(scores: Tensor, observed: Tensor, apart: Tensor) -> Tensor:
    """Log-sum-exp of a row's scores except observed items and those in ``apart``: (R, I), (R, I), (R, n) -> (R,)."""
    return scores.masked_fill(observed.bool().scatter(1, apart, True), -torch.inf).logsumexp(dim=1)


def _clamped(scores: Tensor, positives: Tensor, tops: Tensor, observed: Tensor, clamp: float) -> Tensor:
    check_scores(scores=scores, positives=positives, tops=tops, observed=observed)
    if observed.shape != scores.shape:
        raise ValueError(f"'observed' must have the shape of 'scores', {tuple(scores.shape)}, got {observed.shape}")
    return wide(scores)[0].clamp(-clamp, clamp)


def hetcomp_overall(
    scores: Tensor, positives: Tensor, tops: Tensor, observed: Tensor, *, clamp: float = 40.0, floor: float = 1e-5
) -> Tensor:
    """Compute HetComp's early loss: every listed item above all others, in no order; shapes at ``HetComp``."""
    scores = _clamped(scores, positives, tops, observed, clamp)
    listed = scores.gather(1, torch.cat([positives, tops], dim=1))
    rest = _rest(scores, observed, tops)[:, None].expand_as(listed)
    return -ranking_log_likelihood(listed.reshape(-1, 1), rest.reshape(-1), floor).sum()


def hetcomp_rank(
    scores: Tensor, positives: Tensor, tops: Tensor, observed: Tensor, *, clamp: float = 40.0, floor: float = 1e-5
) -> Tensor:
    """Compute HetComp's final loss: listed items in order, above the others; formula and shapes at ``HetComp``."""
    scores = _clamped(scores, positives, tops, observed, clamp)
    half, tenth = tops[:, : tops.size(1) // 2], tops[:, : tops.size(1) // 10]
    beyond_half = _rest(scores, observed, half)
    between = scores.gather(1, half[:, tenth.size(1) :]).logsumexp(dim=1)
    beyond_tenth = torch.logaddexp(beyond_half, between)  # one pass over all items instead of two

    def ranking(listed: Tensor, rest: Tensor) -> Tensor:
        return -ranking_log_likelihood(scores.gather(1, listed), rest, floor).sum()

    return ranking(positives, beyond_half) + (ranking(half, beyond_half) + ranking(tenth, beyond_tenth)) / 2


class HetComp(Loss):
    """Learn the ensemble ranking of heterogeneous teachers, easy first. Kang et al., WWW 2023, arXiv:2303.01130.

    S: scores (R, I) of the batch's distinct users, clamped to +-``clamp``; P: positives (R, p), observed items as the
    teachers rank them; T: tops (R, K), unobserved ones; rest(A) = sum of exp S over items neither observed nor in A.
    "overall", while the teachers' stages advance: - sum_{i in P + T} [S_i - log max(rest(T) + exp S_i, floor)]. "rank",
    at their last stage, with PL(A; r) = - sum_k [S_k - log max(r + sum_{i >= k, i in A} exp S_i, floor)]: PL(P;
    rest(T_half)) + (PL(T_half; rest(T_half)) + PL(T_tenth; rest(T_tenth))) / 2, T_half and T_tenth being the first K //
    2 and K // 10 of T, times ``rank_weight``. Sums over users. ``HetCompLists`` gives the phase with the lists of a
    batch, one for all users as in the authors' code; without it the phase is ``phase``. student: tables (U, d), (I, d);
    ``tops``, ``known``: Lists of the same users (R,) with items (R, K), (R, p), in the teachers' order;
    ``interactions``: the training pairs. The authors' weights are 0.01 and 0.005, without a base loss. The authors
    subtract sums of exp; masking items, as here, avoids cancellation. O(R I d).

    Example::

        >>> pairs = Interactions.from_pairs([0], [0], num_users=1, num_items=4)
        >>> known, tops = (Lists(torch.tensor([0]), torch.tensor([[item]])) for item in (0, 1))
        >>> loss = HetComp(pairs)((torch.zeros(1, 2), torch.zeros(4, 2)), tops=tops, known=known)
        >>> round(float(loss.exp()), 3)  # each of two items first of three: itself, and two unlisted ones
        9.0
    """

    on = ("user", "item")

    def __init__(
        self,
        interactions: Interactions,
        *,
        phase: Phase = "overall",
        rank_weight: float = 0.5,
        clamp: float = 40.0,
        floor: float = 1e-5,
        on: tuple[str, str] | None = None,
    ) -> None:
        super().__init__(on=on)
        self.interactions = interactions
        self.phase, self.rank_weight = choose("phase", phase, _PHASES), rank_weight
        self.options: dict[str, Any] = {"clamp": clamp, "floor": floor}

    def forward(
        self, student: tuple[Tensor, Tensor], *, tops: Lists, known: Lists, phase: Phase | None = None
    ) -> Tensor:
        """See the class."""
        if not torch.equal(tops.users, known.users):
            raise ValueError("'known' must be about the users of 'tops', row by row, got other users")
        user, item = student
        scores = user[tops.users] @ item.t()
        rows, taken = self.interactions.of(tops.users)
        observed = torch.zeros_like(scores, dtype=torch.bool)
        observed[rows, taken] = True
        observed[:, 0] |= self.interactions.padding
        lists = known.items, tops.items, observed
        if choose("phase", phase or self.phase, _PHASES) == "overall":
            return hetcomp_overall(scores, *lists, **self.options)
        return self.rank_weight * hetcomp_rank(scores, *lists, **self.options)


@torch.no_grad()
def list_ndcg(
    student: Tensor,
    teacher: Tensor,
    observed: Tensor | None = None,
    *,
    k: int = 50,
    decay: float = 10.0,
    decimals: int | None = None,
) -> Tensor:
    """Compute NDCG@k of a student's rankings against a teacher's lists: (R, M), (R, N) -> (R,) float64.

    student: item ids, best first; teacher: item ids, the first k of which are relevant; observed: (R, O) items that are
    removed from the student's ranking. The gain at the student's position r is 2^exp(-r / decay) - 1, discounted by
    log2(r + 2); the ideal has k hits. ``decimals``: HetComp's authors round to 4. O(R M (k + O)).
    """
    check_scores(student=student, teacher=teacher)
    kept = torch.ones_like(student, dtype=torch.bool) if observed is None else ~_among(student, observed)
    position = kept.cumsum(dim=1) - 1
    hit = kept & (position < k) & _among(student, teacher[:, :k])
    ideal = _gain(torch.arange(k, device=student.device), decay).sum()
    ndcg = (_gain(position, decay) * hit).sum(dim=1) / ideal
    return ndcg if decimals is None else ndcg.round(decimals=decimals)


def stage_discrepancy(student: Tensor, teacher: Tensor, observed: Tensor | None = None, **options: Any) -> Tensor:
    """Measure how far a student's rankings are from the lists of its teachers' next stage: 1 - ``list_ndcg``, (R,).

    By this measure ``HetCompLists`` advances a user's teachers.
    """
    return 1 - list_ndcg(student, teacher, observed, **options)


def _among(ids: Tensor, others: Tensor) -> Tensor:
    return (ids[:, :, None] == others[:, None, :]).any(dim=2)


def _gain(position: Tensor, decay: float) -> Tensor:
    position = position.double().clamp_min(0)
    return (torch.exp2(torch.exp(-position / decay)) - 1) / torch.log2(position + 2)
