"""Spread of recommendations over the items, by RecBole's names: coverage, popularity, entropy, Gini, long tail."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Spread = Callable[[Tensor, Tensor, Tensor], Tensor]


def _item_coverage(shown: Tensor, popularity: Tensor, tail: Tensor) -> Tensor:  # noqa: ARG001 - one form for all
    """Compute the share of items that are in some list, among all ids including a padding item."""
    return (shown > 0).double().mean()


def _average_popularity(shown: Tensor, popularity: Tensor, tail: Tensor) -> Tensor:  # noqa: ARG001
    return shown @ popularity.double() / shown.sum()


def _tail_percentage(shown: Tensor, popularity: Tensor, tail: Tensor) -> Tensor:  # noqa: ARG001
    return shown @ tail.double() / shown.sum()


def _shannon_entropy(shown: Tensor, popularity: Tensor, tail: Tensor) -> Tensor:  # noqa: ARG001
    """Compute RecBole's -sum p log p, divided by the number of items in some list, which its documentation omits."""
    share = shown[shown > 0] / shown.sum()
    return -(share * share.log()).sum() / len(share)


def _gini_index(shown: Tensor, popularity: Tensor, tail: Tensor) -> Tensor:  # noqa: ARG001
    size = len(shown)
    place = torch.arange(1, size + 1, dtype=shown.dtype, device=shown.device)
    return (2 * place - size - 1) @ shown.sort().values / (size * shown.sum())


SPREADS: Mapping[str, Spread] = {
    "itemcoverage": _item_coverage,
    "averagepopularity": _average_popularity,
    "shannonentropy": _shannon_entropy,
    "giniindex": _gini_index,
    "tailpercentage": _tail_percentage,
}
OF_POPULARITY = ("averagepopularity", "tailpercentage")  # metrics that read how often items were taken in training


def tail_of(popularity: Tensor, tail: float) -> Tensor:
    """Tell which items are RecBole's long tail: (I,) counts of training events -> (I,) bool.

    tail: RecBole's ``tail_ratio``. Up to 1, the share of the items with events that is the tail, rounded down but at
    least one item: the least taken, lowest ids first. Above 1, the most events that an item of the tail has.
    """
    if not tail > 0:
        raise ValueError(f"'tail' must be a share up to 1, or a number of events above it, got {tail}")
    taken = popularity.nonzero().squeeze(1)
    if tail > 1:
        chosen = taken[popularity[taken] <= tail]
    else:
        chosen = taken[popularity[taken].argsort(stable=True)][: max(int(len(taken) * tail), 1)]
    return torch.zeros_like(popularity, dtype=torch.bool).index_fill_(0, chosen, True)
