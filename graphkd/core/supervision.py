"""Labels that may be learnt: a loss of labels for which no rows are selected must stay within ``train_mask``."""

from __future__ import annotations

import torch
from torch import Tensor

from graphkd.core.by_name import Batch, lookup
from graphkd.core.identity import Once
from graphkd.core.masks import read_mask
from graphkd.core.where import Rows

_once = Once()


def check_labelled(loss: str, batch: Batch, rows: Rows) -> None:
    """Raise ValueError where a batch has a ``train_mask`` and a loss would read labels outside of it by default.

    A mask with another number of rows than the labels, of nodes where labels are of graphs, is ignored.
    """
    found = lookup(batch, ("train_mask", "y"))
    mask, y = found.get("train_mask"), found.get("y")
    if not isinstance(mask, Tensor) or not isinstance(y, Tensor) or not y.dim():
        return
    count = y.size(0)
    if mask.dim() != 1 or mask.dtype != torch.bool:
        mask = read_mask(mask, count, "train_mask")
    elif mask.size(0) != count and rows.all:
        return
    outside = _once(mask, "outside", lambda: int((~mask).sum())) if rows.all else int((~rows.of(mask)).sum())
    if outside:
        advice = "'train_mask'" if rows.all else "('seed', 'train_mask')"
        raise ValueError(
            f"{loss} reads the labels of {outside} rows outside of 'train_mask', those of test rows too perhaps: give "
            f"where={advice}, or where='all' if this is meant"
        )
