"""How good a recommender ranks: full ranking under RecBole's metric names, and leave-one-out among candidates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch_geometric.metrics import (
    LinkPredHitRatio,
    LinkPredMAP,
    LinkPredMetric,
    LinkPredMetricCollection,
    LinkPredMRR,
    LinkPredNDCG,
    LinkPredPrecision,
    LinkPredRecall,
)

from graphkd.core.rng import seeded
from recsys.data.interactions import Interactions, check_sizes
from recsys.data.sampling import Outside
from recsys.models.base import Recommender, check_model
from recsys.models.rankings import masked_scores
from recsys.models.tables import frozen


class CappedRecall(LinkPredMetric):
    """Hits among the first k over min(k, relevant items); Kang et al.'s code (KDD 2021) calls it precision."""

    weighted = False

    def _compute(self, data: object) -> Tensor:
        hits = data.pred_rel_mat[:, : self.k].sum(dim=-1)  # type: ignore[attr-defined]
        return hits / data.label_count.clamp(min=1, max=self.k)  # type: ignore[attr-defined]


METRICS: dict[str, Callable[[int], LinkPredMetric]] = {
    "recall": LinkPredRecall,
    "ndcg": LinkPredNDCG,
    "hit": LinkPredHitRatio,
    "mrr": LinkPredMRR,
    "precision": LinkPredPrecision,
    "map": LinkPredMAP,
    "capped_recall": CappedRecall,
}
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
    item are never ranked. metrics: RecBole's names, ``recall@10``; the values are RecBole's to all digits it prints,
    in float64. Kang et al. (KDD 2021) report recall, ndcg and ``capped_recall`` at 10, 20, 50, and take the other
    held-out pairs away for validation too. O(U I d) time, ``block_users`` · I scores at a time.
    ValueError for a metric that is none of ``METRICS`` and for a set over other users or items.
    """
    seen = (seen,) if isinstance(seen, Interactions) else tuple(seen)
    check_model(model, relevant)
    for pairs in seen:
        check_sizes("seen", pairs, relevant)
    users = relevant.degrees().nonzero().squeeze(1)
    if not users.numel():
        raise ValueError("'relevant' must hold at least one pair to find, got none")
    with frozen(model) as fixed, _float64():
        measures = _measures(metrics).to(users.device)
        k = min(max(measure.k for measure in measures.values()), relevant.num_items)
        for block in users.split(block_users):
            best = masked_scores(fixed.score_items, block, *seen).topk(k, dim=1)
            # What is seen may fill up a list when few items are left; number num_items is nobody's relevant item.
            ranked = best.indices.masked_fill(best.values == -torch.inf, relevant.num_items)
            measures.update(ranked.to(users.device), relevant.of(block))
        return {name.replace("-", "@"): float(value) for name, value in measures.compute().items()}


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
    A candidate with the target's score stands before it, so that a model of constant scores finds nothing.
    """
    rows = (targets >= 0).nonzero().squeeze(1)
    if not rows.numel():
        raise ValueError("'targets' must hold at least one item, got none")
    places = []
    with frozen(model) as fixed:
        for users in rows.split(block_users):
            ids = torch.cat([targets[users, None].long(), candidates[users].long()], dim=1)
            scores = fixed.score(users[:, None], ids).to(ids.device)
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


def draw_candidates(known: Interactions, count: int = 499, seed: int = 0) -> Tensor:
    """The fixed candidates of ``leave_one_out``: (U, count) int64, distinct, uniform outside all that a user has.

    known: training, validation and test pairs together. The same seed gives the same candidates.
    """
    with seeded(seed):
        users = torch.arange(known.num_users, device=known.ptr.device)
        return Outside(known).several(users, count)


def held_out(pairs: Interactions) -> Tensor:
    """The one item of every user, (U,) int64, -1 for a user without one; ValueError for a user with several."""
    if int(pairs.degrees().max()) > 1:
        raise ValueError(f"'pairs' must hold one item a user, user {int(pairs.degrees().argmax())} has more")
    users, items = pairs.pairs()
    return torch.full((pairs.num_users,), -1, device=items.device).index_copy(0, users, items)


def _measures(names: Iterable[str]) -> LinkPredMetricCollection:
    measures: dict[str, LinkPredMetric] = {}
    for name in names:
        kind, at, number = name.partition("@")
        if kind not in METRICS or not at or not number.isdigit() or int(number) < 1:
            raise ValueError(f"'metrics' must be some of {list(METRICS)} at a cutoff, as 'recall@10', got {name!r}")
        measures[f"{kind}-{number}"] = METRICS[kind](int(number))
    if not measures:
        raise ValueError("'metrics' must name at least one, got none")
    return LinkPredMetricCollection(measures)


@contextmanager
def _float64() -> Iterator[None]:
    """PyG's metrics count in the default type."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
