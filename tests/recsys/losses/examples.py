"""Inputs that the tests of several losses share, and the terms of their formulas."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def scores(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(shape[1]))


def log_sigma(x: Tensor) -> float:
    return -math.log1p(math.exp(-float(x)))


def bce(q: float, x: float) -> float:
    return q * math.log1p(math.exp(-x)) + (1 - q) * math.log1p(math.exp(x))


def sigma(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def clicks(rows: int = 5, teachers: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    student = torch.randn(rows, dtype=torch.float64, generator=generator)
    teacher = torch.randn(rows, teachers, dtype=torch.float64, generator=generator)
    return student, teacher, torch.tensor([1.0, 0.0, 1.0, 1.0, 0.0][:rows], dtype=torch.float64)


def cosines(a: Tensor, b: Tensor) -> Tensor:
    return F.normalize(a, dim=1) @ F.normalize(b, dim=1).T


def features(rows: int, student: int = 3, teacher: int = 5) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(rows)
    s, t = (torch.randn(rows, d, dtype=torch.float64, generator=generator) for d in (student, teacher))
    return s.requires_grad_(), t


def triplets() -> dict[str, Any]:
    generator = torch.Generator().manual_seed(3)
    facts: dict[str, Any] = {"users": [0, 7, 7, 5, 1], "positives": [1, 1, 4, 8, 2], "negatives": [3, 3, 0, 1, 10]}
    facts = {name: torch.tensor(ids) for name, ids in facts.items()}
    for side, width in (("student", 3), ("teacher", 5)):
        facts[side] = tuple(torch.randn(n, width, dtype=torch.float64, generator=generator) for n in (8, 11))
    return facts


def entities(facts: dict[str, Any], side: str) -> tuple[Tensor, Tensor]:
    users, items = facts[side]
    return users[[0, 1, 5, 7]], items[[0, 1, 2, 3, 4, 8, 10]]
