"""What the tests of similarity matrices share: matrices of all pairs, and how far two are apart."""

from __future__ import annotations

import torch


def matrix(x, kernel):
    return [[kernel(a, b) for b in x] for a in x]


def squared_distance(one, other):
    pairs = [(a, b) for row, twin in zip(one, other, strict=True) for a, b in zip(row, twin, strict=True)]
    return sum((a - b) ** 2 for a, b in pairs)


def similarities(student, teacher, batch):
    """Sum of the squared differences of all cosines."""
    one, other = (torch.nn.functional.normalize(x, dim=1) for x in (student, teacher))
    return (one @ one.t() - other @ other.t()).square().sum()
