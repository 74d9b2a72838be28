"""The next item: cross-entropy of what a user takes after a history, among all items or among drawn ones."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from graphkd.core.loss import Loss
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import choose
from recsys.losses._scores import Reduction, reduce


def next_item(logits: Tensor, answers: Tensor, *, reduction: Reduction = "sum") -> Tensor:
    """-log softmax(logits)[answer] of every row: (N, C), (N,) -> scalar, (N,) for "none"."""
    if logits.dim() != 2 or answers.shape != logits.shape[:1]:
        raise ValueError(
            f"'logits' must be (rows, items), 'answers' (rows,), got {tuple(logits.shape)} and {tuple(answers.shape)}"
        )
    wide = logits.to(accumulation_dtype(logits))
    return reduce(F.cross_entropy(wide, answers.to(wide.device), reduction="none"), reduction)


class NextItem(Loss):
    """Cross-entropy of the next item. RecBole's CE; sampled: arXiv:2309.07602, RecSys 2023.

    sum over rows of -log softmax(s)[target]; student: ``logits`` (N, I) of ``SequenceView``, in which padding has no
    part; targets: (N,) ids. Of a batch with ``candidates``, logits (N, 1 + M), the target is the first column, and the
    softmax is over it and M uniform items, one draw for the batch; a drawn item that is the target has no part.
    RecBole's CE takes the mean, and has padding among the negatives. ``reduction``: "sum", beside losses that are tuned
    to a summed loss, or "mean". O(N C).
    """

    on = "logits"

    def __init__(self, *, reduction: Reduction = "sum", on: str | None = None) -> None:
        super().__init__(on=on)
        self.reduction: Reduction = choose("reduction", reduction, ("sum", "mean", "none"))

    def forward(self, student: Tensor, *, targets: Tensor, candidates: Tensor | None = None) -> Tensor:
        """See the class."""
        return next_item(student, targets if candidates is None else targets * 0, reduction=self.reduction)
