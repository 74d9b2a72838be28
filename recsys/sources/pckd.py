"""PCKD's items: a few items from the top of a ranking, drawn anew every epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.data.lists import list_length
from recsys.data.sampling import interesting_positions
from recsys.models.base import Recommender
from recsys.models.rankings import top_items
from recsys.sources._common import Clock, drawn


def top_of_all(model: Recommender, interactions: Interactions, length: int) -> Tensor:
    """Rank the first ``length`` items of every user, training items included: (U, length) int32; see ``top_items``.

    interactions: gives the numbers of users and items, and whether id 0 is padding, which is not ranked.
    """
    none = interactions.items[:0].long()
    sizes = interactions.num_users, interactions.num_items
    return top_items(model, Interactions.from_pairs(none, none, *sizes, padding=interactions.padding), length)


class PCKDLists:
    """PCKD's items (Zhu and Zhang, TKDE 2025): ``preferred`` (B, Q), for each row of the batch.

    Q = ``k`` of the first ``length`` items of a ranking, by successive sampling with exp(-(r + 1) / scale); unlike
    RRD's, the ranking includes training items. guide: the ranking, (U, length) items, best first, as ``top_of_all`` of
    a teacher; or a model, usually the student, which is ranked every ``every`` epochs, O(U I d) each time; or None for
    uniform items with replacement, training items included. Drawn once an epoch, O(U length); the paper draws
    independently, its code without replacement, as here.
    """

    def __init__(
        self,
        guide: Tensor | Recommender | None,
        interactions: Interactions,
        *,
        k: int = 5,
        length: int = 100,
        scale: float = 10.0,
        every: int = 1,
        name: str = "preferred",
    ) -> None:
        self.interactions, self.scale, self.name = interactions, scale, name
        self.model = guide if isinstance(guide, Recommender) else None
        self.top = guide if isinstance(guide, Tensor) else None
        self.length = length if self.top is None else self.top.size(1)
        most = self.length if guide is not None else interactions.num_items
        self.k = list_length("k", k, 5, most, "the length of the ranking" if guide is not None else "the items")
        self._clock = Clock(every)
        self._table: Tensor | None = None

    def set_epoch(self, epoch: int, epochs: int) -> None:  # noqa: ARG002 - the protocol gives both
        """Set the epoch; a model is ranked anew in epochs divisible by ``every``."""
        self._clock.epoch = epoch

    def resample(self) -> None:
        """Rank the model if it is due, and draw the items of all users."""
        due = self._clock.due()
        if self.model is not None and (due or self.top is None):
            self.top = top_of_all(self.model, self.interactions, self.length)
        pairs = self.interactions
        if self.top is None:
            shape, device = (pairs.num_users, self.k), pairs.items.device
            self._table = torch.randint(int(pairs.padding), pairs.num_items, shape, device=device)
        else:
            rows, length = self.top.shape
            positions = interesting_positions(rows, length, self.k, self.scale, self.top.device)
            self._table = self.top.gather(1, positions)

    def lists(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Return the items of the users of the batch's rows."""
        return {self.name: drawn(self._table)[batch["users"]].long()}

    def state_dict(self) -> dict[str, Any]:
        """Return the ranking of a model, which serves several epochs."""
        return {"top": self.top if self.model is not None else None}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a ranking."""
        self.top = state["top"] if self.model is not None else self.top
