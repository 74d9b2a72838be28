"""Evaluation of rankings: full ranking under RecBole's metric names, and leave-one-out among candidates."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from graphkd.core.rng import seeded
from recsys.data.interactions import Interactions, check_sizes
from recsys.data.lists import list_length
from recsys.data.sampling import Outside
from recsys.evaluate.ranked import Ranked, Ties
from recsys.models.base import Recommender, check_model
from recsys.models.finite import check_finite
from recsys.models.rankings import masked_scores
from recsys.models.tables import frozen

_log = logging.getLogger(__name__)
_USUAL = 499  # candidates a user
DEFAULT = ("recall@10", "ndcg@10", "hit@10", "mrr@10", "precision@10")


def full_ranking(
    model: Recommender,
    relevant: Interactions,
    seen: Interactions | Sequence[Interactions],
    metrics: Iterable[str] = DEFAULT,
    *,
    popularity: Tensor | None = None,
    tail: float = 0.1,
    ties: Ties = "against",
    block_users: int = 512,
) -> dict[str, float]:
    """Rank all items but those ``seen`` for every user with relevant ones; return each metric's mean over these users.

    relevant: held-out pairs. seen: the training pairs and, for a test, also the validation pairs. They and the padding
    item are not ranked, except for pairs that are also ``relevant``, such as an item bought again; as in RecBole.
    metrics: RecBole's names in either case: "recall@10" (recall, ndcg, hit, mrr, precision, map), "gauc", and, of the
    lists of all users together, "itemcoverage@10", "averagepopularity@10", "shannonentropy@10", "giniindex@10",
    "tailpercentage@10". The values are RecBole's to all digits it prints, except for ties: these count against the
    model (``hits_of``), or with ``ties="sorted"`` as in RecBole. popularity: (I,) how often every item was taken in
    training, and tail: RecBole's ``tail_ratio`` (``recsys.evaluate.spread``), for the metrics that read them. Scores
    have the model's own type; metrics are computed in float64. Kang et al. (KDD 2021) report recall, ndcg and
    ``capped_recall`` at 10, 20, 50, and exclude the other held-out pairs for validation too. O(U I d) time,
    ``block_users`` · I scores at a time. Raises ValueError for an unknown metric, for sets over other users or items,
    and for scores that are not finite.
    """
    seen = (seen,) if isinstance(seen, Interactions) else tuple(seen)
    check_model(model, relevant)
    for pairs in seen:
        check_sizes("seen", pairs, relevant)
    users = relevant.degrees().nonzero().squeeze(1)
    if not users.numel():
        raise ValueError("'relevant' must hold at least one pair to find, got none")
    ranked = Ranked(metrics, relevant.num_items, popularity=popularity, tail=tail, ties=ties)
    with frozen(model) as fixed:
        for block in users.split(block_users):
            scores = masked_scores(fixed.score_items, block, *seen, kept=relevant)
            ranked.add(scores, *(each.to(scores.device) for each in relevant.of(block)))
    return ranked.values()


def leave_one_out(
    model: Recommender,
    targets: Tensor,
    candidates: Tensor,
    *,
    removed: Tensor | None = None,
    cutoffs: Sequence[int] = (5, 10, 20),
    block_users: int = 512,
) -> dict[str, float]:
    """Rank each user's held-out item among candidates (Kang et al., CIKM 2020): ``hit@5``, ``ndcg@5``, ``mrr@5``.

    targets: (U,) int64, the held-out item of every user; negative for a user without one, who does not count.
    candidates: (U, C), usually the 499 of ``draw_candidates``; negative entries are empty, and a user without
    candidates does not count. removed: (U,), the user's other held-out item, which is no candidate. At position p from
    0 below N: hit 1, ndcg 1 / log2(p + 2), mrr 1 / (p + 1). A candidate with the target's score stands before it, so
    that a model of constant scores finds nothing. A target that the user has taken before, or that is also ``removed``,
    is ranked like any other. Raises ValueError for scores that are not finite, and where no user has a target and
    candidates.
    """
    rows = ((targets >= 0) & (candidates >= 0).any(dim=1).to(targets.device)).nonzero().squeeze(1)
    if not rows.numel():
        raise ValueError("'targets' must hold at least one item that has candidates, got none")
    places = []
    with frozen(model) as fixed:
        for users in rows.split(block_users):
            ids = torch.cat([targets[users, None].long(), candidates[users].long()], dim=1)
            scores = fixed.score(users[:, None], torch.where(ids < 0, ids[:, :1], ids)).to(ids.device)
            check_finite(scores, "'model' must give finite scores")
            ahead = (scores[:, 1:] >= scores[:, :1]) & (ids[:, 1:] != ids[:, :1]) & (ids[:, 1:] >= 0)
            if removed is not None:
                ahead &= ids[:, 1:] != removed[users, None]
            places.append(ahead.sum(dim=1))
    place = torch.cat(places).double()
    values: dict[str, float] = {}
    for n in cutoffs:
        found = place < n
        values[f"hit@{n}"] = float(found.double().mean())
        values[f"ndcg@{n}"] = float((found / (place + 2).log2()).mean())
        values[f"mrr@{n}"] = float((found / (place + 1)).mean())
    return values


def draw_candidates(known: Interactions, count: int | None = None, seed: int = 0) -> Tensor:
    """Draw the fixed candidates of ``leave_one_out``: (U, count) int64, distinct, uniform outside a user's items.

    known: training, validation and test pairs together. count: by default 499; a user with fewer items left then has
    all of these, filled up with -1, which is logged. The same seed gives the same candidates. With a given ``count``,
    raises ValueError that names a user with fewer items left.
    """
    outside = Outside(known)
    users = torch.arange(known.num_users, device=known.ptr.device)
    with seeded(seed):
        if count is not None:
            return outside.several(users, count)
        width = list_length("count", None, _USUAL, int(outside.free.max()), "what the user with fewest pairs has left")
        lengths = outside.free.clamp(max=width)
        found = torch.full((known.num_users, width), -1, device=known.ptr.device)
        for length in lengths.unique().tolist():
            own = users[lengths == length]
            if length:
                found[own, :length] = outside.several(own, length)
    short = int((lengths < width).sum())
    if short:
        _log.warning("%d users have fewer than %d candidates here, the least %d", short, width, int(lengths.min()))
    return found


def held_out(pairs: Interactions) -> Tensor:
    """Return the one item of every user, (U,) int64, -1 for a user without one; ValueError for a user with several."""
    if int(pairs.degrees().max()) > 1:
        raise ValueError(f"'pairs' must hold one item a user, user {int(pairs.degrees().argmax())} has more")
    users, items = pairs.pairs()
    return torch.full((pairs.num_users,), -1, device=items.device).index_copy(0, users, items)
