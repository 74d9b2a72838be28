"""GAUC: the area under the ROC curve of every user, weighted by relevant items (Zhu et al., KDD 2018)."""

from __future__ import annotations

import torch
from torch import Tensor


def user_aucs(scores: Tensor, rows: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the AUC of every row's relevant items among all ranked items, and the number of relevant items.

    scores: (B, I), minus infinity for items that are not ranked; relevant items (n,), (n,) as rows and items -> AUC
    (B,) float64 and number of relevant items (B,) float64. A tie counts half. A row without relevant items, or without
    other items, has no AUC and counts 0 relevant items. O(B I log I).
    """
    size = scores.size(0)
    ordered = scores.sort(dim=1).values
    ranked = (scores > -torch.inf).sum(dim=1)
    row, column = _packed(rows, size)
    wanted = torch.full((size, int(column.max()) + 1 if len(column) else 1), -torch.inf, device=scores.device)
    wanted = wanted.to(scores.dtype)
    wanted[row, column] = scores[rows, items][rows.argsort(stable=True)]
    below = torch.searchsorted(ordered, wanted)
    upto = torch.searchsorted(ordered, wanted, right=True)
    removed = scores.size(1) - ranked
    better = ((below + upto).double() / 2 - removed[:, None])[row, column]  # mean number of those that are below
    relevant = torch.bincount(row, minlength=size).double()
    sums = torch.zeros(size, dtype=torch.float64, device=scores.device).index_add_(0, row, better)
    others = ranked - relevant
    pairs = sums - relevant * relevant / 2  # without those of two relevant items, each of which counts half in all
    counted = (relevant > 0) & (others > 0)
    return torch.where(counted, pairs / (relevant * others), 0.0), torch.where(counted, relevant, 0.0)


def _packed(rows: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Rows in order, and which of its row each entry is."""
    row = rows.sort().values
    counts = torch.bincount(row, minlength=size)
    return row, torch.arange(len(row), device=row.device) - (counts.cumsum(0) - counts)[row]
