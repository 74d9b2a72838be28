"""Classes within classes: pull nodes to near ones of their class, push them from all others."""

from typing import Unpack

import torch
from torch import Tensor

from graphkd.core.loss import Loss, Reads
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_same_shape, class_ids


def subclass_separation(student: Tensor, teacher: Tensor, y: Tensor, k: int = 5, *, margin: float = 1.0) -> Tensor:
    """Pull to the nearest k of a class, push from the others: (N, d), (N, d), (N,) -> scalar; see ``OSKD``."""
    check_same_shape(student, teacher)
    y = class_ids(y, student.size(0))
    if k < 1:
        raise ValueError(f"'k' must be at least 1, got {k}")
    s, t = (features.to(accumulation_dtype(features)) for features in (student, teacher))
    squares = (s[:, None] - t).square().sum(dim=-1)  # not by a Gram matrix, which loses the digits of near rows
    others = ~torch.eye(y.size(0), dtype=torch.bool, device=y.device)
    near = _nearest(squares.detach(), (y[:, None] == y) & others, k)
    apart = (margin - squares).clamp(min=0)
    return (_mean(squares, near) + _mean(apart, others & ~near)).sum() / max(y.size(0), 1)


def _nearest(squares: Tensor, allowed: Tensor, k: int) -> Tensor:
    found = squares.masked_fill(~allowed, torch.inf).topk(min(k, squares.size(0)), largest=False)
    return torch.zeros_like(allowed).scatter(1, found.indices, True) & allowed


def _mean(values: Tensor, chosen: Tensor) -> Tensor:
    """Average each row over its chosen entries; 0 where there are none."""
    return (values * chosen).sum(dim=1) / chosen.sum(dim=1).clamp(min=1)


class OSKD(Loss):
    """Pull nodes to near ones of their class, push them from others. Tzelepi, Passalis and Tefas, ESWA 2021.

    mean_i [mean of |s_i - t_j|^2 over the k nearest j of i's class + mean of max(0, margin - |s_i - t_j|^2) over all
    other j != i]; student, teacher: (N, d), y: (N,) integers. The teacher is the student itself with constant features:
    ``EMA(student, 0.0)``, this step's student in eval mode, or a slower average. Choose it where classes have
    sub-classes and there is no other teacher. We do not know the paper's formula: this follows the survey's
    description. O(N^2 d) time and memory: restrict the rows by ``where``.

    Example::

        >>> x, y = torch.tensor([[0.0], [0.0], [0.5]]), torch.tensor([0, 0, 1])
        >>> OSKD(k=1)(x, x, y=y)  # a node of class 1 is nearer than the margin: 1 - 0.5^2
        tensor(0.7500)
        >>> OSKD(k=1)(4 * x, 4 * x, y=y)  # it is far enough
        tensor(0.)
    """

    on = "hidden"
    rows = ("y",)

    def __init__(self, k: int = 5, *, margin: float = 1.0, **reads: Unpack[Reads]) -> None:
        super().__init__(**reads)
        if k < 1:
            raise ValueError(f"'k' must be at least 1, got {k}")
        self.k, self.margin = k, margin

    def forward(self, student: Tensor, teacher: Tensor, *, y: Tensor) -> Tensor:
        return subclass_separation(student, teacher, y, self.k, margin=self.margin)
