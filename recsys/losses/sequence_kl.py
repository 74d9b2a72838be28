"""Soft targets of the next item, at the last position or at every one."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from graphkd.core.loss import Loss
from graphkd.losses import kl
from graphkd.losses._checks import check_positive, check_same_shape, choose

Scale = Literal["sum", "mean"]


def valid_positions(values: Tensor, lengths: Tensor) -> Tensor:
    """Select the positions before each sequence's length, as rows: (B, L, C), (B,) -> (n, C)."""
    if values.dim() != 3 or lengths.shape != values.shape[:1]:
        raise ValueError(
            f"'values' must be (B, L, C) and 'lengths' (B,), got {tuple(values.shape)} and {tuple(lengths.shape)}"
        )
    return values[torch.arange(values.size(1), device=values.device) < lengths[:, None].to(values.device)]


def sequence_kl(
    student: Tensor,
    teacher: Tensor,
    lengths: Tensor | None = None,
    *,
    temperature: float = 1.0,
    skip_padding_item: bool = True,
    reduction: Scale = "mean",
) -> Tensor:
    """T^2 KL(softmax(teacher / T) || softmax(student / T)) of positions: (N, I), or (B, L, I) with lengths (B,).

    skip_padding_item: leave column 0, padding, out of both softmaxes. The mean, or the sum, over valid positions; 0
    where there is none. O(N I).
    """
    check_same_shape(student, teacher)
    choose("reduction", reduction, ("sum", "mean"))
    if lengths is not None:
        student, teacher = (valid_positions(each, lengths) for each in (student, teacher))
    first = int(skip_padding_item)
    found = kl(student[..., first:], teacher[..., first:], temperature)
    return found * (student.size(0) if reduction == "sum" else 1)


class SequenceKL(Loss):
    """Match the teacher's softened distribution of the next item at every row. Hinton et al., 2015.

    sum over rows of T^2 KL(softmax(t / T) || softmax(s / T)); student, teacher: ``logits`` (N, C) of ``SequenceView``,
    over all items, or over the target and the batch's drawn candidates. Padding, and a candidate that is the target,
    have probability 0 on both sides. ``reduction``: "sum", beside ``NextItem``, or the "mean". O(N C).

    Example::

        >>> teacher = torch.randn(2, 6)
        >>> round(float(SequenceKL(temperature=2.0)(teacher + 1.0, teacher)), 3)  # the same distributions
        0.0
    """

    on = "logits"

    def __init__(self, temperature: float = 1.0, *, reduction: Scale = "sum", on: str | None = None) -> None:
        super().__init__(on=on)
        self.temperature = check_positive("temperature", temperature)
        self.reduction: Scale = choose("reduction", reduction, ("sum", "mean"))

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """See the class."""
        return sequence_kl(
            student, teacher, temperature=self.temperature, skip_padding_item=False, reduction=self.reduction
        )
