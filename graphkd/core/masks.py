"""Splits and labels in the forms that users have: read into one form, or refused by name; never guessed."""

from __future__ import annotations

import torch
from torch import Tensor

from graphkd.core.identity import Once

_once = Once()
_IDS = (torch.int64, torch.int32, torch.int16, torch.int8)


def read_mask(mask: Tensor, rows: int, name: str, *, split: int | None = None, ids: Tensor | None = None) -> Tensor:
    """Read a split as a boolean mask (rows,): from a mask, a column of masks (rows, k), or node ids.

    split: the column. ids: the node ids of the rows, (rows,), where the batch is a part of the graph and ``mask`` may
    have ids of the whole. Raises ValueError for several columns without ``split`` and, without ``ids``, for node ids
    out of range; TypeError for a mask of 0/1 integers and for other dtypes.
    """
    if mask.dim() == 2:
        mask = _column(mask, name, split)
    if mask.dtype == torch.bool:
        return check_rows(mask, rows, name)
    if ids is None:
        return torch.zeros(rows, dtype=torch.bool, device=mask.device).index_fill(0, check_rows(mask, rows, name), True)
    check_rows(mask, rows, name, parts=True)
    return torch.isin(ids.to(mask.device), mask)


def check_rows(chosen: Tensor, rows: int, name: str, *, parts: bool = False) -> Tensor:
    """Check a selection of rows: return a mask (rows,) or row ids int64 with repeats kept, or raise what is wrong.

    Values are checked once per tensor, and again after it was written to. parts: the ids may be of nodes beyond these
    rows.
    """
    if chosen.dim() != 1:
        raise ValueError(
            f"{name!r} must be (N,), got {tuple(chosen.shape)}: choose one of the splits, data.{name}[:, 0], or with a "
            "task NodeClassification(split=0)"
        )
    if chosen.dtype == torch.bool:
        if chosen.size(0) != rows:
            raise ValueError(f"{name!r} must be a mask of {rows} rows, got {chosen.size(0)}")
        return chosen
    if chosen.dtype not in _IDS:
        raise TypeError(f"{name!r} must be a boolean mask or node ids, got {chosen.dtype}: use .bool()")
    _once(chosen, ("rows", rows, name, parts), lambda: _check_ids(chosen, rows, name, parts))
    return chosen.long()


def read_split(chosen: Tensor, rows: int, name: str) -> Tensor:
    """Read a split as node ids, from those or from a mask."""
    checked = check_rows(chosen, rows, name)
    return checked.nonzero()[:, 0] if checked.dtype == torch.bool else checked


def _column(masks: Tensor, name: str, split: int | None) -> Tensor:
    if split is None:
        raise ValueError(
            f"{name!r} has {masks.size(1)} splits, shape {tuple(masks.shape)}: choose one by task="
            f"NodeClassification(split=0), or give data.{name}[:, 0]"
        )
    if not 0 <= split < masks.size(1):
        raise ValueError(f"'split' must be from 0 to {masks.size(1) - 1}, the splits of {name!r}, got {split}")
    return masks[:, split]


def _check_ids(chosen: Tensor, rows: int, name: str, parts: bool) -> None:
    if not chosen.numel():
        return
    low, high = (int(end) for end in chosen.aminmax())
    if chosen.numel() == rows and low >= 0 and high <= 1 and chosen.unique().numel() < rows:
        raise TypeError(
            f"{name!r} must be a boolean mask or node ids, got {rows} numbers that are all 0 or 1, as {chosen.dtype}: "
            "use .bool()"
        )
    if low < 0 or (high >= rows and not parts):
        raise ValueError(f"{name!r} must hold node ids from 0 to {rows - 1}, got {low} to {high}")


def read_labels(labels: Tensor, name: str = "y") -> Tensor:
    """Read class ids as int64 (N,): from integers or whole floats, (N,) or (N, 1); NaN and negatives become -1.

    Raises ValueError for several columns (one-hot, multi-label) and for floats that are no class ids.
    """
    if labels.dim() == 2 and labels.size(1) == 1:
        labels = labels[:, 0]
    if labels.dim() != 1:
        raise ValueError(
            f"{name!r} must hold one class id a row, (N,) or (N, 1), got {tuple(labels.shape)}: for one-hot labels use "
            f"{name}.argmax(1), for several labels a row SoftBCE, BCE and a multi-label task"
        )
    if labels.is_floating_point():
        labels = _whole(labels, name)
    return labels.long()


def _whole(labels: Tensor, name: str) -> Tensor:
    known = ~labels.isnan()
    ids = torch.where(known, labels, torch.full_like(labels, -1))
    if not bool((ids == ids.round()).all()):
        raise ValueError(f"{name!r} must hold class ids, got {labels.dtype} numbers that are not whole")
    return ids
