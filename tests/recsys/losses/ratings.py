"""A block of ratings with the outputs of student and teacher, and the terms of KDCRec's formulas."""

from __future__ import annotations

import torch
from torch import Tensor

B, ITEMS = 3, 5


def example() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, B, ITEMS, dtype=torch.float64, generator=generator)
    ratings = torch.randint(-1, 2, (B, ITEMS), generator=generator).double()
    ratings[0, 0], ratings[0, 1] = 1, 0
    return student, teacher, ratings


def entries() -> list[tuple[int, int]]:
    return [(u, i) for u in range(B) for i in range(ITEMS)]


def squared(x: float, f: float) -> float:
    return (x - f) ** 2 if x else 0.0
