"""What losses do with rows before they compare them: draw some, make them unit vectors, count their labels."""

from __future__ import annotations

import torch
from torch import Tensor

from graphkd.kernels.operators import accumulation_dtype


def sample_rows(student: Tensor, teacher: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """``count`` rows of both sides, the same ones, drawn without replacement from torch's global generator."""
    rows = torch.randperm(student.size(0), device=student.device)[:count]
    return student[rows], teacher[rows]


def unit_rows(x: Tensor, eps: float = 0.0) -> Tensor:
    """Rows divided by their norm plus eps, in float32 at least; a row of zeros stays."""
    norm = torch.linalg.vector_norm(x, dim=1, keepdim=True, dtype=accumulation_dtype(x))
    return x / (norm + max(eps, torch.finfo(norm.dtype).tiny))


def label_counts(y: Tensor) -> Tensor:
    """How many rows have each row's label: (N,) -> (N,)."""
    ordered = y.sort().values
    return torch.searchsorted(ordered, y, right=True) - torch.searchsorted(ordered, y)
