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
_USUAL = 499  # candidates
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
    """Rank all items but those ``seen`` for every user with relevant ones; the mean over these users of each metric.

    relevant: held-out pairs. seen: the training pairs, and for a test also the validation pairs; they and the padding
    item are not ranked, but a pair that is ``relevant`` too, as one that was bought again, is, as in RecBole. metrics:
    RecBole's names in either case, "recall@10" (recall, ndcg, hit, mrr, precision, map), "gauc", and of the lists of
    all users together "itemcoverage@10", "averagepopularity@10", "shannonentropy@10", "giniindex@10",
    "tailpercentage@10"; the values are RecBole's to all digits it prints, but for ties, which count against the model
    (``hits_of``) unless ``ties`` is "sorted", as RecBole leaves them. popularity: (I,) how often every item was taken
    in training, and tail: RecBole's ``tail_ratio`` (``recsys.evaluate.spread``), for the metrics that read them. Scores
    are of the model's own type, metrics count in float64. Kang et al. (KDD 2021) report recall, ndcg and
    ``capped_recall`` at 10, 20, 50, and take the other held-out pairs away for validation too. O(U I d) time,
    ``block_users`` · I scores at a time. ValueError for a metric that is none of these, for a set over other users or
    items, and for scores that are not finite.
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

    targets: (U,) int64, the held-out item of every user, negative for a user without one, who does not count.
    candidates: (U, C), 499 of ``draw_candidates`` as a rule, negative ones for nothing; a user without any does not
    count. removed: (U,) the user's other held-out item, taken out of
    the candidates where it is among them. At position p from 0 below N: hit 1, ndcg 1 / log2(p + 2), mrr 1 / (p + 1).
    A candidate with the target's score stands before it, so that a model of constant scores finds nothing. A target
    that the user has had before, or that is ``removed`` too, is ranked as any other. ValueError for scores that are not
    finite.
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
    """The fixed candidates of ``leave_one_out``: (U, count) int64, distinct, uniform outside all that a user has.

    known: training, validation and test pairs together. count: 499 by default; then a user with fewer left has all that
    are left, and -1 for the rest, which the log says. The same seed gives the same candidates. ValueError that names a
    user with fewer left than a ``count`` that is asked for.
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
    """The one item of every user, (U,) int64, -1 for a user without one; ValueError for a user with several."""
    if int(pairs.degrees().max()) > 1:
        raise ValueError(f"'pairs' must hold one item a user, user {int(pairs.degrees().argmax())} has more")
    users, items = pairs.pairs()
    return torch.full((pairs.num_users,), -1, device=items.device).index_copy(0, users, items)
