"""Spread of recommendations over the items, by RecBole's names: coverage, popularity, entropy, Gini, long tail."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Spread = Callable[[Tensor, Tensor, Tensor], Tensor]


def _item_coverage(shown: Tensor, popularity: Tensor, tail: Tensor) -> Tensor:  # noqa: ARG001 - one form for all
    """Share of the items that are in some list; of all ids, a padding item too."""
    return (shown > 0).double().mean()


def _average_popularity(shown: Tensor, popularity: Tensor, tail: Tensor) -> Tensor:  # noqa: ARG001
    return shown @ popularity.double() / shown.sum()


def _tail_percentage(shown: Tensor, popularity: Tensor, tail: Tensor) -> Tensor:  # noqa: ARG001
    return shown @ tail.double() / shown.sum()


def _shannon_entropy(shown: Tensor, popularity: Tensor, tail: Tensor) -> Tensor:  # noqa: ARG001
    """RecBole's: -sum p log p over the number of items that are in some list, which its documentation leaves out."""
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
OF_POPULARITY = ("averagepopularity", "tailpercentage")  # which read how often items were taken in training


def tail_of(popularity: Tensor, tail: float) -> Tensor:
    """Tell which items are RecBole's long tail: (I,) counts of training events -> (I,) bool.

    tail: up to 1 that share, rounded down but at least one, of the items with events, least taken and lowest ids first;
    above 1 the most events that an item of the tail has. RecBole's ``tail_ratio``.
    """
    if not tail > 0:
        raise ValueError(f"'tail' must be a share up to 1, or a number of events above it, got {tail}")
    taken = popularity.nonzero().squeeze(1)
    if tail > 1:
        chosen = taken[popularity[taken] <= tail]
    else:
        chosen = taken[popularity[taken].argsort(stable=True)][: max(int(len(taken) * tail), 1)]
    return torch.zeros_like(popularity, dtype=torch.bool).index_fill_(0, chosen, True)
