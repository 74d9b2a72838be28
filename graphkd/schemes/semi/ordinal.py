"""Scores of anomaly without labels: a student that learns the two ends of a ranking, its own, again and again."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from graphkd.core.distiller import Distiller
from graphkd.core.fit import fit
from graphkd.core.view import Batch, Viewer
from graphkd.losses.features.feature_distance import FeatureDistance
from graphkd.schemes.augment import changed, told


class Ends(NamedTuple):
    """Rows at both ends of a ranking: the highest, (H,), and the lowest, (L,)."""

    top: Tensor
    bottom: Tensor


def ends(scores: Tensor, high: float = 0.05, low: float = 0.5) -> Ends:
    """The share ``high`` of rows with the largest scores, one at least, and ``low`` with the smallest: (N,) -> Ends."""
    if not (high > 0 and low > 0 and high + low <= 1) or scores.dim() != 1 or scores.size(0) < 2:
        raise ValueError(
            f"'high' and 'low' must be above 0 and sum to 1 at most, of scores (N,), got {high}, {low} and "
            f"{tuple(scores.shape)}"
        )
    order = scores.argsort(descending=True, stable=True)
    top = max(round(high * order.numel()), 1)
    bottom = min(max(round(low * order.numel()), 1), order.numel() - top)
    return Ends(order[:top], order[order.numel() - bottom :])


def self_trained_scores(
    student: nn.Module,
    scores: Tensor,
    data: Batch,
    *,
    rounds: int = 5,
    high: float = 0.05,
    low: float = 0.5,
    **options: Any,
) -> Tensor:
    """Self-trained ordinal regression. Pang, Yan, Shen, van den Hengel and Bai, CVPR 2020, arXiv:2003.06780.

    Choose it to find anomalous nodes, users or ratings without any label, from a rough detector's ``scores`` (N,):
    ``rounds`` times the student regresses by L1 the targets 1 and 0 of both ``ends`` of the ranking so far, then its
    own scores are the ranking. Both ends count the same, however many rows they have: the best constant for L1 would
    be the target of the larger. It goes on from its weights; rows in between teach in a later round or never. student:
    shows ``logits`` (N, 1). The paper joins an isolation forest and a reconstruction error to begin with, and its
    shares are not known to us. data is one batch. options go to ``fit``, in each round. Returns the last scores, (N,).
    """
    if rounds < 1:
        raise ValueError(f"'rounds' must be at least 1, got {rounds}")
    top, bottom = (FeatureDistance("l1", on="logits", where=where) for where in Ends._fields)
    for _ in range(rounds):
        found = ends(scores, high, low)
        target = scores.new_zeros(scores.size(0), 1).index_fill(0, found.top, 1)
        task = Distiller(student, told("target"), 0.5 * top + 0.5 * bottom)
        fit(task, changed(data, target=target, **found._asdict()), **options)
        with torch.no_grad():
            scores = Viewer(student.eval())(data)["logits"].squeeze(1)
    return scores
