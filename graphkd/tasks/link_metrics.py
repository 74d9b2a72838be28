"""Scores of links: how far edges are ranked above pairs that are no edges."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor

_HITS = re.compile(r"hits@([1-9]\d*)")
_NAMED = ("auc", "average_precision", "mrr")


def check_link_metrics(metrics: Sequence[str]) -> None:
    """Raise ValueError unless ``metrics`` are names that ``link_scores`` knows, one at least."""
    known = all(name in _NAMED or _HITS.fullmatch(name) for name in metrics)
    if isinstance(metrics, str) or not metrics or not known:
        raise ValueError(f"'metrics' must be some of {_NAMED} and 'hits@K', got {metrics!r}")


def link_scores(
    metrics: Sequence[str], scores: Tensor, labels: Tensor, ranked: Sequence[Tensor] = ()
) -> dict[str, float]:
    """Compute metrics by name, of the scores of pairs (M,) and their labels (M,), 1 for edges and 0 for others.

    ranked: for "mrr", parts (P, 1 + K), the score of an edge before those of the K pairs that it is ranked among.
    Raises ValueError unless there are both edges and other pairs.
    """
    scores, edges = scores.double(), labels > 0
    if not bool(edges.any()) or bool(edges.all()):
        raise ValueError(
            f"there must be edges and pairs that are none, {int(edges.sum())} of {edges.numel()} are edges"
        )
    return {name: _measured(name, scores, edges, ranked) for name in metrics}


def hits(scores: Tensor, edges: Tensor, k: int) -> float:
    """Compute the share of edges that score above the k-th best other pair; 1 for fewer than k of these (OGB)."""
    others = scores[~edges]
    if k > others.numel():
        return 1.0
    return float((scores[edges] > others.topk(k).values[-1]).double().mean())


def mean_reciprocal_rank(ranked: Tensor) -> float:
    """Compute the mean of 1 / rank of the first entry of each row in its row, ties counting half: (P, 1 + K)."""
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
