"""How good a recommender ranks: full ranking under RecBole's metric names, and leave-one-out among candidates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from graphkd.core.rng import seeded
from recsys.data.interactions import Interactions, check_sizes
from recsys.data.lists import list_length
from recsys.data.sampling import Outside
from recsys.evaluate.measures import hits_of, read_names
from recsys.models.base import Recommender, check_model
from recsys.models.finite import check_finite
from recsys.models.rankings import masked_scores
from recsys.models.tables import frozen

DEFAULT = ("recall@10", "ndcg@10", "hit@10", "mrr@10", "precision@10")


def full_ranking(
    model: Recommender,
    relevant: Interactions,
    seen: Interactions | Sequence[Interactions],
    metrics: Iterable[str] = DEFAULT,
    *,
    block_users: int = 512,
) -> dict[str, float]:
    """Rank all items but those ``seen`` for every user with relevant ones; the mean over these users of each metric.

    relevant: held-out pairs. seen: the training pairs, and for a test also the validation pairs; they and the padding
    item are not ranked, but a pair that is ``relevant`` too, as one that was bought again, is, as in RecBole. metrics:
    RecBole's names, ``recall@10``; the values are RecBole's to all digits it prints, but for ties, which count against
    the model (``hits_of``); RecBole leaves them to the sort. Scores are of the model's own type, the metrics count in
    float64. Kang et al. (KDD 2021) report recall, ndcg and ``capped_recall`` at 10, 20, 50, and take the other held-out
    pairs away for validation too. O(U I d) time, ``block_users`` · I scores at a time.
    ValueError for a metric that is none of ``METRICS``, for a set over other users or items, and for scores that are
    not finite.
    """
    seen = (seen,) if isinstance(seen, Interactions) else tuple(seen)
    check_model(model, relevant)
    for pairs in seen:
        check_sizes("seen", pairs, relevant)
    users = relevant.degrees().nonzero().squeeze(1)
    if not users.numel():
        raise ValueError("'relevant' must hold at least one pair to find, got none")
    measures = read_names(metrics)
    longest = max(k for _, k in measures.values())
    totals = dict.fromkeys(measures, 0.0)
    with frozen(model) as fixed:
        for block in users.split(block_users):
            scores = masked_scores(fixed.score_items, block, *seen, kept=relevant)
            rows, items = (each.to(scores.device) for each in relevant.of(block))
            hits, counts = hits_of(scores, rows, items, longest), torch.bincount(rows).double()
            for name, (measure, k) in measures.items():
                totals[name] += float(measure(hits[:, :k], counts).sum())
    return {name: total / len(users) for name, total in totals.items()}


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
    candidates: (U, C), 499 of ``draw_candidates`` as a rule. removed: (U,) the user's other held-out item, taken out of
    the candidates where it is among them. At position p from 0 below N: hit 1, ndcg 1 / log2(p + 2), mrr 1 / (p + 1).
    A candidate with the target's score stands before it, so that a model of constant scores finds nothing. A target
    that the user has had before, or that is ``removed`` too, is ranked as any other. ValueError for scores that are not
    finite.
    """
    rows = (targets >= 0).nonzero().squeeze(1)
    if not rows.numel():
        raise ValueError("'targets' must hold at least one item, got none")
    places = []
    with frozen(model) as fixed:
        for users in rows.split(block_users):
            ids = torch.cat([targets[users, None].long(), candidates[users].long()], dim=1)
            scores = fixed.score(users[:, None], ids).to(ids.device)
            check_finite(scores, "'model' must give finite scores")
            ahead = (scores[:, 1:] >= scores[:, :1]) & (ids[:, 1:] != ids[:, :1])
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

    known: training, validation and test pairs together. count: 499, or what the user with most pairs has left, which
    the log says. The same seed gives the same candidates. ValueError that names a user with fewer left than ``count``.
    """
    outside = Outside(known)
    if count is None:
        most = int(outside.free.min())
        count = list_length("count", None, 499, most, "what the user with most pairs has left")
    with seeded(seed):
        users = torch.arange(known.num_users, device=known.ptr.device)
        return outside.several(users, count)


def held_out(pairs: Interactions) -> Tensor:
    """The one item of every user, (U,) int64, -1 for a user without one; ValueError for a user with several."""
    if int(pairs.degrees().max()) > 1:
        raise ValueError(f"'pairs' must hold one item a user, user {int(pairs.degrees().argmax())} has more")
    users, items = pairs.pairs()
    return torch.full((pairs.num_users,), -1, device=items.device).index_copy(0, users, items)
