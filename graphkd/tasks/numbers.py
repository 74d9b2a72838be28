"""Common parts of regressions: labels (N, k) with gaps, their spread, and errors of the numbers that are known."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphkd.core.batches import batches
from graphkd.tasks.metrics import check_any


def read_numbers(y: Tensor) -> Tensor:
    """Read labels as floats (N, k) from (N,) or (N, k); NaN stands for what is not known."""
    if y.dim() not in (1, 2):
        raise ValueError(f"'y' must hold numbers for each row, (N,) or (N, k), got shape {tuple(y.shape)}")
    wide = y if y.is_floating_point() else y.to(torch.get_default_dtype())
    return wide[:, None] if wide.dim() == 1 else wide


def spread(data: Any, labels: Any) -> Tensor | None:
    """Compute the standard deviation of each target over all batches, (k,); None for one target, which needs none.

    labels: batch -> (n, k), NaN where unknown. A target without two different labels has 1.
    """
    parts = []
    for batch in batches(data):
        y = labels(batch)
        if y.size(1) == 1:
            return None
        parts.append(y.double().cpu())
    y = torch.cat(parts)
    found = torch.stack([_deviation(column[~column.isnan()]) for column in y.T])
    return found.to(torch.get_default_dtype())


def _deviation(known: Tensor) -> Tensor:
    found = known.std(correction=0) if known.numel() else torch.zeros((), dtype=known.dtype)
    return torch.where(found > 0, found, 1.0)


def check_answers(found: Tensor, y: Tensor) -> Tensor:
    """Return a model's numbers in the shape of the labels, (n, k); ValueError for another shape."""
    found = found[:, None] if found.dim() == 1 else found
    if found.shape != y.shape:
        wanted, shape = tuple(y.shape), tuple(found.shape)
        raise ValueError(f"a model must answer {wanted} to {y.size(0)} rows, a number a target, got {shape}")
    return found


def errors(found: Tensor, labels: Tensor, what: str) -> dict[str, float]:
    """Compute explained variance, root mean squared and mean absolute error: (n, k), NaN labels left out.

    Each is the mean over the targets that have any label. Raises ValueError where no target has one.
    """
    each = []
    for column in range(labels.size(1)):
        known = ~labels[:, column].isnan()
        if not bool(known.any()):
            continue
        y, gaps = labels[known, column], (found - labels)[known, column]
        squares = float(gaps.square().mean())
        variance = float(y.var(correction=0)) or 1.0  # equal labels have none
        each.append((1 - squares / variance, squares**0.5, float(gaps.abs().mean())))
    check_any(len(each), what, "row with a label")
    columns = zip(*each, strict=True)
    return {name: sum(column) / len(each) for name, column in zip(("explained", "rmse", "mae"), columns, strict=True)}
