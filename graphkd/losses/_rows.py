"""Operations on rows before losses compare them: draw some, count their labels."""

import torch
from torch import Tensor


def sample_rows(student: Tensor, teacher: Tensor, most: int | None) -> tuple[Tensor, Tensor]:
    """Draw the same ``most`` rows of both sides without replacement; return all if there are no more, or for None."""
    if most is None or student.size(0) <= most:
        return student, teacher
    rows = torch.randperm(student.size(0), device=student.device)[:most]
    return student[rows], teacher[rows]


def label_counts(y: Tensor) -> Tensor:
    """Count the rows that have each row's label: (N,) -> (N,)."""
    ordered = y.sort().values
    return torch.searchsorted(ordered, y, right=True) - torch.searchsorted(ordered, y)
