"""Common parts of the losses on score matrices: checks, reductions, the logarithm of a sigmoid."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import choose

Reduction = Literal["sum", "mean", "none"]


def check_scores(**scores: Tensor) -> None:
    """Raise ValueError unless the scores of a loss are matrices with equally many rows, one row a list."""
    (first, *_), rows = scores, {name: tuple(matrix.shape) for name, matrix in scores.items()}
    for name, matrix in scores.items():
        if matrix.dim() != 2:
            raise ValueError(f"'{name}' must hold scores of shape (lists, length), got {tuple(matrix.shape)}")
        if matrix.size(0) != scores[first].size(0):
            raise ValueError(f"'{name}' must have the rows of '{first}', {scores[first].size(0)}, got shapes {rows}")


def wide(*scores: Tensor) -> tuple[Tensor, ...]:
    """Cast scores to float32 at least: logarithms, squares and sums of half precision overflow at ordinary sizes."""
    return tuple(each.to(accumulation_dtype(each)) for each in scores)


def reduce(values: Tensor, reduction: Reduction) -> Tensor:
    """Return the sum of all values, their mean (0 where there is none), or the values themselves."""
    choose("reduction", reduction, ("sum", "mean", "none"))
    if reduction == "none":
        return values
    return values.sum() / max(values.numel(), 1) if reduction == "mean" else values.sum()


def log_sigmoid(x: Tensor, eps: float = 0.0) -> Tensor:
    """log(sigma(x) + eps); authors' codes add a positive ``eps`` to avoid log 0, which cannot occur here."""
    return F.logsigmoid(x) if eps == 0 else torch.log(x.sigmoid() + eps)
