"""The next item: cross-entropy of the item that follows a history, among all items or among drawn ones."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from graphkd.core.loss import Loss
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import choose
from recsys.losses._scores import Reduction, reduce

HIDDEN = -5e4  # the logit of an excluded item: its probability is 0 in any floating type


def item_logits(state: Tensor, item: Tensor, targets: Tensor | None = None, candidates: Tensor | None = None) -> Tensor:
    """Score states (N, d) by products with all items (I, d), the padding item excluded: (N, I).

    With ``candidates`` (M,): scores of the targets (N,), then of the candidates, (N, 1 + M); a candidate that is the
    target is excluded. Excluded items have the logit ``HIDDEN``.
    """
    if candidates is None or targets is None:
        nothing = torch.zeros(1, dtype=torch.long, device=state.device)
        return (state @ item.t()).index_fill_(1, nothing, HIDDEN)
    targets, drawn = targets.to(state.device), candidates.to(state.device)
    own = (state * item.index_select(0, targets)).sum(dim=1, keepdim=True)
    others = (state @ item.index_select(0, drawn).t()).masked_fill_(targets[:, None] == drawn, HIDDEN)
    return torch.cat([own, others], dim=1)


def next_item(logits: Tensor, answers: Tensor, *, reduction: Reduction = "sum") -> Tensor:
    """-log softmax(logits)[answer] of every row: (N, C), (N,) -> scalar, (N,) for "none"."""
    if logits.dim() != 2 or answers.shape != logits.shape[:1]:
        raise ValueError(
            f"'logits' must be (rows, items), 'answers' (rows,), got {tuple(logits.shape)} and {tuple(answers.shape)}"
        )
    wide = logits.to(accumulation_dtype(logits))
    return reduce(F.cross_entropy(wide, answers.to(wide.device), reduction="none"), reduction)


class NextItem(Loss):
    """Measure the cross-entropy of the next item. RecBole's CE; sampled: arXiv:2309.07602, RecSys 2023.

    sum over rows of -log softmax(s)[target]; student: ``logits`` (N, I) of ``SequenceView``, from which padding is
    excluded; targets: (N,) ids. In a batch with ``candidates``, logits are (N, 1 + M): the target is the first column,
    and the softmax is over it and M uniform items, drawn once for the batch; a drawn item that is the target is
    excluded. RecBole's CE takes the mean, and has padding among the negatives. ``reduction``: "sum", beside losses that
    are tuned to a summed loss, or "mean". O(N C).

    Example::

        >>> logits = torch.tensor([[HIDDEN, 0.0, 0.0, 0.0]])  # item 0 is padding
        >>> round(float(NextItem()(logits, targets=torch.tensor([2])).exp()), 3)
        3.0
    """

    on = "logits"

    def __init__(self, *, reduction: Reduction = "sum", on: str | None = None) -> None:
        super().__init__(on=on)
        self.reduction: Reduction = choose("reduction", reduction, ("sum", "mean", "none"))

    def forward(self, student: Tensor, *, targets: Tensor, candidates: Tensor | None = None) -> Tensor:
        """See the class."""
        return next_item(student, targets if candidates is None else targets * 0, reduction=self.reduction)
