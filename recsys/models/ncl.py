"""NCL's training beside its loss, as in RecBole's trainer: clusters of users and items, and epochs without them."""

from __future__ import annotations

import logging
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from graphkd.core.rng import seeded

_log = logging.getLogger(__name__)
_ITERATIONS, _SEED = 25, 1234  # those of FAISS, which RecBole calls
_BLOCK = 1 << 22  # distances at a time


def losses_of(model: Any, rows: Any, epoch: int) -> tuple[Tensor, ...]:
    """Compute NCL's losses of an epoch, from 0: clusters are renewed before each, and their loss begins with epoch 20.

    As RecBole's ``m_step`` of 1 and ``warm_up_step`` of 20. RecBole's k-means is FAISS's, on a GPU; ours starts from
    other centres.
    """
    if vars(model).get("clustered") != epoch:
        _say(model)
        model.user_centroids, model.user_2cluster = clusters(model.user_embedding.weight, model.k)
        model.item_centroids, model.item_2cluster = clusters(model.item_embedding.weight, model.k)
        model.clustered = epoch
    found: tuple[Tensor, ...] = model.calculate_loss(rows)
    return found if epoch >= 20 else found[:-1]


def _say(model: Any) -> None:
    """Log once that there are fewer rows than clusters."""
    fewest = min(model.n_users, model.n_items)
    if model.k > fewest and not hasattr(model, "clustered"):
        _log.warning("'num_clusters' is at most the number of users and of items here, %d, not %d", fewest, model.k)


@torch.no_grad()
def clusters(rows: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Cluster rows by Lloyd's k-means: at most ``count`` directions of centres, each row's nearest; O(n count d)."""
    count = min(count, len(rows))
    with seeded(_SEED):
        centres = rows[torch.randperm(len(rows))[:count].to(rows.device)].clone()
    for _ in range(_ITERATIONS):
        nearest = _nearest(rows, centres)
        sums = torch.zeros_like(centres).index_add_(0, nearest, rows)
        sizes = torch.bincount(nearest, minlength=count)[:, None]
        centres = torch.where(sizes > 0, sums / sizes.clamp(min=1), centres)
    return F.normalize(centres, dim=1), _nearest(rows, centres)


def _nearest(rows: Tensor, centres: Tensor) -> Tensor:
    """Find the nearest centre of every row."""
    half = centres.square().sum(dim=1) / 2
    parts = rows.split(max(1, _BLOCK // max(len(centres), 1)))
    return torch.cat([(half - part @ centres.T).argmin(dim=1) for part in parts])
