"""Metrics of a ranked list, by RecBole's names and formulas."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Measure = Callable[[Tensor, Tensor], Tensor]


def _recall(hits: Tensor, relevant: Tensor) -> Tensor:
    return hits.sum(dim=1) / relevant


def _capped_recall(hits: Tensor, relevant: Tensor) -> Tensor:
    """Divide hits by min(k, relevant items); Kang et al.'s code (KDD 2021) calls it precision."""
    return hits.sum(dim=1) / relevant.clamp(max=hits.size(1))


def _precision(hits: Tensor, _: Tensor) -> Tensor:
    return hits.mean(dim=1)


def _hit(hits: Tensor, _: Tensor) -> Tensor:
    return hits.amax(dim=1)


def _mrr(hits: Tensor, _: Tensor) -> Tensor:
    return (hits / _places(hits)).amax(dim=1)


def _ndcg(hits: Tensor, relevant: Tensor) -> Tensor:
    gains = 1 / (_places(hits) + 1).log2()
    ideal = gains.cumsum(0)[relevant.clamp(max=hits.size(1)).long() - 1]
    return hits @ gains / ideal


def _map(hits: Tensor, relevant: Tensor) -> Tensor:
    return (hits * hits.cumsum(dim=1) / _places(hits)).sum(dim=1) / relevant.clamp(max=hits.size(1))


def _places(hits: Tensor) -> Tensor:
    """Number the places 1…k."""
    return torch.arange(1, hits.size(1) + 1, dtype=hits.dtype, device=hits.device)


METRICS: Mapping[str, Measure] = {
    "recall": _recall,
    "ndcg": _ndcg,
    "hit": _hit,
    "mrr": _mrr,
    "precision": _precision,
    "map": _map,
    "capped_recall": _capped_recall,
}


def hits_of(scores: Tensor, rows: Tensor, items: Tensor, k: int) -> Tensor:
    """Mark the hits among the first k places of rows of scores (B, I): relevant items (n,), (n,) -> (B, k) float64.

    Ties count against the model: of equal scores, items that are not relevant stand before relevant ones. So a model of
    constant scores finds nothing, and the order of a sort among equal scores has no effect. O(B I + n k).
    """
    best = scores.topk(min(k, scores.size(1)), dim=1).values
    own, last = scores[rows, items], best[:, -1]
    alike = torch.where(
        own == last[rows], (scores == last[:, None]).sum(dim=1)[rows], (best[rows] == own[:, None]).sum(1)
    )
    fellows, place = _among_equals(rows, own)
    place = place + (best[rows] > own[:, None]).sum(dim=1) + alike - fellows
    found = (own >= last[rows]) & (place < k)
    hits = torch.zeros(scores.size(0), k, dtype=torch.float64, device=scores.device)
    hits[rows[found], place[found]] = 1
    return hits


def _among_equals(rows: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Count the entries with each entry's row and value, and its place among them, from 0: (n,), (n,) -> (n,), (n,)."""
    order = values.argsort(stable=True)
    order = order[rows[order].argsort(stable=True)]
    row, value = rows[order], values[order]
    new = torch.ones_like(row, dtype=torch.bool)
    new[1:] = (row[1:] != row[:-1]) | (value[1:] != value[:-1])
    group = new.cumsum(0) - 1
    start, size = new.nonzero().squeeze(1), torch.bincount(group)
    count, place = torch.empty_like(group), torch.empty_like(group)
    count[order], place[order] = size[group], torch.arange(len(group), device=group.device) - start[group]
    return count, place
