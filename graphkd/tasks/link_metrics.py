"""Scores of links: how far edges stand above pairs that are none."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor

_HITS = re.compile(r"hits@([1-9]\d*)")
_NAMED = ("auc", "average_precision", "mrr")


def check_link_metrics(metrics: Sequence[str]) -> None:
    """Raise ValueError unless metrics are some that ``link_scores`` knows, one at least."""
    known = all(name in _NAMED or _HITS.fullmatch(name) for name in metrics)
    if isinstance(metrics, str) or not metrics or not known:
        raise ValueError(f"'metrics' must be some of {_NAMED} and 'hits@K', got {metrics!r}")


def link_scores(
    metrics: Sequence[str], scores: Tensor, labels: Tensor, ranked: Sequence[Tensor] = ()
) -> dict[str, float]:
    """Measure by name: (M,), (M,) of 0 and 1; ranked: (P, 1 + K) scores of edges before those they are ranked among."""
    scores, edges = scores.double(), labels > 0
    if not bool(edges.any()) or bool(edges.all()):
        raise ValueError(
            f"there must be edges and pairs that are none, {int(edges.sum())} of {edges.numel()} are edges"
        )
    return {name: _measured(name, scores, edges, ranked) for name in metrics}


def hits(scores: Tensor, edges: Tensor, k: int) -> float:
    """Share of edges that score above the k-th best of the pairs that are none; of fewer than k, all do (OGB)."""
    others = scores[~edges]
    if k > others.numel():
        return 1.0
    return float((scores[edges] > others.topk(k).values[-1]).double().mean())


def mean_reciprocal_rank(ranked: Tensor) -> float:
    """Mean of 1 / rank of the first of each row, ties counting half: (P, 1 + K)."""
    own, others = ranked[:, :1].double(), ranked[:, 1:].double()
    rank = 1 + (others > own).sum(dim=1) + 0.5 * (others == own).sum(dim=1)
    return float((1 / rank).mean())


def _measured(name: str, scores: Tensor, edges: Tensor, ranked: Sequence[Tensor]) -> float:
    from torchmetrics.functional.classification import binary_auroc, binary_average_precision

    if name == "auc":
        return float(binary_auroc(scores, edges.long(), validate_args=False))
    if name == "average_precision":
        return float(binary_average_precision(scores, edges.long(), validate_args=False))
    if name == "mrr":
        return mean_reciprocal_rank(torch.cat(list(ranked)))
    return hits(scores, edges, int(name.removeprefix("hits@")))
