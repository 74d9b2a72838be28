"""Rows of a batch whose labels a trainable reads."""

from __future__ import annotations

import torch
from torch import Tensor

from graphkd.core.masks import read_mask
from graphkd.core.view import Batch, names


def chosen_rows(batch: Batch, where: str | None, rows: int, device: torch.device) -> Tensor:
    """Read the entry ``where`` of a batch as a mask (rows,): from a mask or row numbers; all rows where it is None."""
    if where is None:
        return torch.ones(rows, dtype=torch.bool, device=device)
    if where not in batch:
        raise KeyError(
            f"where={where!r} must name the entry of the batch that selects labelled rows, it has {names(batch)}: give "
            "where=None if all rows are labelled"
        )
    return read_mask(batch[where], rows, where).to(device)
