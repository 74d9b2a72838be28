"""What losses do with rows before they compare them: draw some, make them unit vectors, count their labels."""

import torch
import torch.nn.functional as F
from torch import Tensor

from graphkd.kernels.operators import accumulation_dtype


def sample_rows(student: Tensor, teacher: Tensor, most: int | None) -> tuple[Tensor, Tensor]:
    """Draw ``most`` rows of both sides, the same ones, without replacement; None, or no more than that: all."""
    if most is None or student.size(0) <= most:
        return student, teacher
    rows = torch.randperm(student.size(0), device=student.device)[:most]
    return student[rows], teacher[rows]


def normalised(x: Tensor) -> Tensor:
    """Vectors along the last dimension as unit vectors, in float32 at least; zeros stay."""
    return F.normalize(x.to(accumulation_dtype(x)), dim=-1)


def unit_rows(x: Tensor, eps: float = 0.0) -> Tensor:
    """Rows divided by their norm plus eps, in float32 at least; a row of zeros stays."""
    norm = torch.linalg.vector_norm(x, dim=1, keepdim=True, dtype=accumulation_dtype(x))
    return x / (norm + max(eps, torch.finfo(norm.dtype).tiny))


def label_counts(y: Tensor) -> Tensor:
    """How many rows have each row's label: (N,) -> (N,)."""
    ordered = y.sort().values
    return torch.searchsorted(ordered, y, right=True) - torch.searchsorted(ordered, y)
