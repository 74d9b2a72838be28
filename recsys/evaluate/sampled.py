"""Evaluation among drawn candidates, as in RecBole's modes uniN and popN."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from recsys.evaluate.candidates import Candidates
from recsys.evaluate.ranked import Ranked, Ties
from recsys.models.base import Recommender
from recsys.models.finite import check_finite
from recsys.models.tables import frozen

_CHUNK = 1 << 20  # pairs scored at a time


def sampled_ranking(
    model: Recommender,
    candidates: Candidates,
    metrics: Iterable[str],
    *,
    popularity: Tensor | None = None,
    tail: float = 0.1,
    ties: Ties = "against",
    block_users: int = 512,
) -> dict[str, float]:
    """Rank each user's held-out items and negatives in one list, as RecBole does in uniN and popN.

    candidates: of ``drawn_candidates``; repeated negatives, and a held-out item that was also drawn, count once. Other
    arguments and values as for ``full_ranking``; a short list is filled up with items that are not ranked
    and never hit. Raises ValueError for scores that are not finite, and for a user without a held-out item. O(n d)
    time, ``block_users`` · I numbers at a time.

    Example::

        sampled_ranking(model, drawn_candidates(split.test, known, "uni100"), ["recall@10", "gauc"])
    """
    ranked = Ranked(metrics, model.num_items, popularity=popularity, tail=tail, ties=ties)
    people, row = candidates.users.unique_consecutive(return_inverse=True)
    ends = torch.bincount(row, minlength=len(people)).cumsum(0).tolist()
    without = torch.bincount(row[candidates.positive], minlength=len(people)) == 0
    if bool(without.any()):
        raise ValueError(
            f"every user among 'candidates' must have a held-out item to find, user {int(people[without][0])} has none"
        )
    with frozen(model) as fixed:
        for first in range(0, len(people), block_users):
            last = min(first + block_users, len(people))
            part = slice(ends[first - 1] if first else 0, ends[last - 1])
            scores = scores_of(fixed, candidates.users[part], candidates.items[part])
            rows, items = ((each[part]).to(scores.device) for each in (row - first, candidates.items))
            block = torch.full((last - first, model.num_items), -torch.inf, dtype=scores.dtype, device=scores.device)
            block[rows, items] = scores
            held = candidates.positive[part].to(scores.device)
            keys = (rows[held] * model.num_items + items[held]).unique()  # an item held out twice counts once
            ranked.add(block, keys // model.num_items, keys % model.num_items)
    return ranked.values()


def scores_of(model: Recommender, users: Tensor, items: Tensor) -> Tensor:
    """Score pairs, (n,), (n,) -> (n,); ValueError for scores that are not finite."""
    parts = zip(users.split(_CHUNK), items.split(_CHUNK), strict=True)
    scores = torch.cat([model.score(*part) for part in parts])
    check_finite(scores, "'model' must give finite scores")
    return scores


def predicted_values(model: Recommender, users: Tensor, items: Tensor) -> Tensor:
    """Predict values of pairs, (n,), (n,) -> (n,): by the model's ``predict`` where it has one, else its scores."""
    parts = zip(users.split(_CHUNK), items.split(_CHUNK), strict=True)
    with frozen(model) as fixed:
        predict = getattr(model, "predict", None) or fixed.score
        return torch.cat([predict(*part) for part in parts])
