"""DCD's lists: the items that the student ranks too low and too high."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from recsys.data.lists import Lists, list_length
from recsys.data.sampling import weighted_positions
from recsys.losses.dcd import rank_discrepancy
from recsys.models.base import Recommender
from recsys.models.tables import frozen
from recsys.sources._common import Clock, drawn


class DCDLists:
    """DCD's lists (Lee and Kim, CIKM 2021): what the student ranks too low and too high within the teacher's list.

    ``underestimated`` and ``overestimated`` (R, k) are drawn by successive sampling with the weights of
    ``rank_discrepancy``, in the teacher's order. They are lists of items for each distinct user or, with ``of_items``
    and ``top`` of ``top_users``, lists of users for each distinct positive item. The student is ranked anew every
    ``every`` epochs, O(U N d). Lists are drawn once an epoch; the authors draw for every batch (``per_batch``), which
    has the same distribution for each batch. Their k and ``sharpness`` are unknown; those of RCE-KD's copy are 1/10 and
    a list of 100.
    """

    def __init__(
        self,
        student: Recommender,
        top: Tensor,
        *,
        k: int | None = None,
        sharpness: float = 0.1,
        floor: float = 1e-5,
        every: int = 3,
        per_batch: bool = False,
        of_items: bool = False,
        names: tuple[str, str] | None = None,
    ) -> None:
        self.student, self.top = student, top
        self.k = list_length("k", k, 40, top.size(1), "the length of 'top'")
        self.sharpness, self.floor, self.per_batch, self.of_items = sharpness, floor, per_batch, of_items
        suffix = "_users" if of_items else ""
        self.names = names or (f"underestimated{suffix}", f"overestimated{suffix}")
        self._clock = Clock(every)
        self._ranks: Tensor | None = None
        self._tables: tuple[Tensor, Tensor] | None = None

    def set_epoch(self, epoch: int, epochs: int) -> None:  # noqa: ARG002 - the protocol gives both
        """Set the epoch; the student is ranked anew in epochs divisible by ``every``."""
        self._clock.epoch = epoch

    def resample(self) -> None:
        """Rank the student within the lists if it is due; draw unless every batch draws."""
        if self._clock.due() or self._ranks is None:
            self._ranks = self._rank()
        if not self.per_batch:
            self._tables = self._draw(torch.arange(self.top.size(0), device=self.top.device))

    def lists(self, batch: Mapping[str, Any]) -> dict[str, Lists]:
        """Return the lists of the batch's distinct users, or of its distinct positive items."""
        ids = batch["positives"].unique() if self.of_items else batch["unique_users"]
        tables = self._draw(ids) if self.per_batch else tuple(table[ids] for table in drawn(self._tables))
        pairs = ((each.long(), ids) if self.of_items else (ids, each.long()) for each in tables)
        return {name: Lists(*pair) for name, pair in zip(self.names, pairs, strict=True)}

    def state_dict(self) -> dict[str, Any]:
        """Return the ranks, which serve several epochs of a changing student."""
        return {"ranks": self._ranks}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the ranks."""
        self._ranks = state["ranks"]

    def _draw(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        weights = rank_discrepancy(-drawn(self._ranks)[ids].float(), sharpness=self.sharpness)
        top = self.top[ids]
        under, over = (weighted_positions(each, self.k, floor=self.floor) for each in (weights.under, weights.over))
        return top.gather(1, under), top.gather(1, over)

    def _rank(self) -> Tensor:
        ranks = []
        with frozen(self.student) as fixed:
            for ids in torch.arange(self.top.size(0), device=self.top.device).split(4096):
                others = self.top[ids].long()
                scores = fixed.score(others, ids[:, None]) if self.of_items else fixed.score(ids[:, None], others)
                ranks.append(rank_discrepancy(scores).rank.short().to(ids.device))
        return torch.cat(ranks)
