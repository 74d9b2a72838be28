"""Rank of the item after a history, among all items, by a sequential recommender."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

import torch
from torch import Tensor

from graphkd.losses._checks import choose
from recsys.data.sequence_rows import SequenceRows
from recsys.evaluate.measures import METRICS
from recsys.evaluate.ranked import Ranked, Ties, read_ranking_names
from recsys.models.finite import check_finite
from recsys.models.sequential import SequentialRecommender, end_states

Seen = Literal["ranked", "left_out"]
Block = tuple[Tensor, Tensor]  # scores (B, I) and targets (B,)


@torch.no_grad()
def next_item_ranking(
    model: SequentialRecommender,
    rows: SequenceRows,
    metrics: Iterable[str] = ("ndcg@10", "hit@10"),
    *,
    seen: Seen = "ranked",
    ties: Ties = "against",
    block_rows: int = 512,
) -> dict[str, float]:
    """Rank all items after every row's history; return the mean of each metric over rows.

    seen: "ranked" excludes only padding, as RecBole does for sequential models; "left_out" also excludes the user's
    earlier items, including those beyond ``max_length``, but never the target. Where no item is taken twice, leaving
    out raises every figure. metrics: RecBole's names, see ``full_ranking``, except those that need popularity. ties:
    "against" the model, or "sorted", as RecBole has them. O(R I d) time, ``block_rows`` · I scores at a time. Raises
    ValueError for no rows, and for scores that are not finite.
    """
    choose("seen", seen, ("ranked", "left_out"))
    if not len(rows):
        raise ValueError("'rows' must hold at least one row to rank for, got none")
    training = model.training
    model.eval()
    try:
        blocks = _blocks(model, rows, seen, block_rows)
        wanted = read_ranking_names(metrics)
        if ties == "against" and all(kind in METRICS for kind, _ in wanted.values()):
            return _of_places(torch.cat([_places(*block) for block in blocks]), wanted)
        ranked = Ranked(metrics, model.num_items, ties=ties)
        for scores, targets in blocks:
            ranked.add(scores, torch.arange(len(targets), device=targets.device), targets)
        return ranked.values()
    finally:
        model.train(training)


def _blocks(model: SequentialRecommender, rows: SequenceRows, seen: Seen, size: int) -> Iterator[Block]:
    """Yield scores of all items after some rows' histories, minus infinity for items not ranked, and the targets."""
    item = model.items()
    for block in torch.arange(len(rows)).split(size):
        scores = end_states(model, rows.histories(block), item.device) @ item.t()
        check_finite(scores[:, 1:], "'model' must give finite scores")
        scores[:, 0] = -torch.inf
        place, targets = torch.arange(len(block), device=item.device), rows.targets[block].to(item.device)
        if seen == "left_out":
            own = scores[place, targets]
            scores[rows.seen(block)] = -torch.inf
            scores[place, targets] = own
        yield scores, targets


def _places(scores: Tensor, targets: Tensor) -> Tensor:
    """Count the items ranked before the target, including those of equal score: (B,)."""
    own = scores.gather(1, targets[:, None])
    return (scores >= own).sum(dim=1) - 1


def _of_places(places: Tensor, wanted: dict[str, tuple[str, int]]) -> dict[str, float]:
    """Average the metrics over rows with one target each."""
    found = {}
    for name, (kind, cut) in wanted.items():
        hits = torch.zeros(len(places), cut, dtype=torch.float64, device=places.device)
        inside = (places < cut).nonzero().squeeze(1)
        hits[inside, places[inside]] = 1
        found[name] = float(METRICS[kind](hits, torch.ones_like(hits[:, 0])).mean())
    return found
