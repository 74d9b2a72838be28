"""Lists of single items: fixed ones, RD's top and sampled items, CD's drawn items."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from recsys.interactions import Interactions
from recsys.models import Lists, Recommender
from recsys.rankings import top_items
from recsys.sampling import Outside, best_of_two_positions
from recsys.sources.common import Clock, Per, check_per, drawn, look_up, rows_of


class TopLists:
    """Fixed lists by name, tables (U, K): for static RD, RRD's top K without sampling, HetComp's ``tops``, ``known``.

    per: a list for every "row" of the batch, or for every distinct "user".
    """

    def __init__(self, tables: Mapping[str, Tensor], *, per: Per = "user") -> None:
        self.tables, self.per = dict(tables), check_per(per)

    def resample(self) -> None:
        """Nothing is drawn."""

    def lists(self, batch: Mapping[str, Any]) -> dict[str, Lists]:
        """The lists of the batch's users."""
        users = rows_of(batch, self.per)
        return {name: look_up(table, users) for name, table in self.tables.items()}


class RDLists:
    """RD's lists (Tang and Wang, KDD 2018): ``top`` (B, K), the teacher's best, and ``sampled`` (B, Q) for every row.

    top: ``top_items`` of the teacher, (U, K + 1) or wider; a row's own positive is left out, as the authors do; other
    training items are left out if ``top`` was made so. Dynamic samples are uniform with replacement outside the user's
    training items, anew for every row (Q = 100, K = 10 in the code); 0 leaves them out. O(B Q log nnz) a batch.
    """

    def __init__(
        self,
        top: Tensor,
        interactions: Interactions,
        *,
        k: int = 10,
        samples: int = 100,
        names: tuple[str, str] = ("top", "sampled"),
    ) -> None:
        if top.size(1) <= k:
            raise ValueError(f"'top' must list at least k + 1 = {k + 1} items, got {top.size(1)}")
        self.top, self.k, self.samples, self.names = top[:, : k + 1], k, samples, names
        self._outside = Outside(interactions)

    def resample(self) -> None:
        """Dynamic samples are drawn with the batches."""

    def lists(self, batch: Mapping[str, Any]) -> dict[str, Lists]:
        """The lists of the batch's rows."""
        users = batch["users"]
        top = self.top[users].long()
        target = (top == batch["positives"][:, None]).long().cumsum(dim=1)[:, : self.k]  # 1 from the target on
        columns = torch.arange(self.k, device=top.device) + target
        found = {self.names[0]: Lists(users, top.gather(1, columns))}
        if self.samples:
            drawn = self._outside.one(users[:, None].expand(-1, self.samples))
            found[self.names[1]] = Lists(users, drawn)
        return found


class CDLists:
    """CD's list (Lee et al., ICDM 2019): ``drawn`` (B, n), of the guide's top M the better of two, redrawn every epoch.

    guide: the teacher (``rerank=None``: ranked once), or the student, ranked anew every ``rerank`` epochs in O(U I d).
    M is ``length``, or what the user with most training items has left. Weights exp(-(r+1) / (M · flatness)):
    UnKD's code has 1 / lambda = 20, n = 50, drawn once; RCE-KD's T = 20, n = 2, M = 3000 both. ``distinct=False``
    repeats their duplicates.
    """

    def __init__(
        self,
        guide: Recommender,
        interactions: Interactions,
        *,
        k: int = 50,
        length: int = 3000,
        flatness: float = 20.0,
        distinct: bool = True,
        rerank: int | None = None,
        per: Per = "row",
        name: str = "drawn",
    ) -> None:
        self.guide, self.interactions, self.k, self.distinct = guide, interactions, k, distinct
        self.length = min(length, int(Outside(interactions).free.min()))
        self.scale = length * flatness
        self.per, self.name = check_per(per), name
        self._clock = Clock(rerank)
        self._top: Tensor | None = None
        self._table: Tensor | None = None

    def set_epoch(self, epoch: int, epochs: int) -> None:  # noqa: ARG002 - the protocol gives both
        """Rank anew in epochs that ``rerank`` divides."""
        self._clock.epoch = epoch

    def resample(self) -> None:
        """Rank if it is time, then draw."""
        if self._clock.due() or self._top is None:
            self._top = top_items(self.guide, self.interactions, self.length)
        draw = best_of_two_positions(
            self._top.size(0), self.length, self.k, self.scale, distinct=self.distinct, device=self._top.device
        )
        self._table = self._top.gather(1, draw)

    def lists(self, batch: Mapping[str, Any]) -> dict[str, Lists]:
        """The lists of the batch's users."""
        return {self.name: look_up(drawn(self._table), rows_of(batch, self.per))}

    def state_dict(self) -> dict[str, Any]:
        """The ranking, where it is kept for several epochs of a changing guide."""
        return {"top": self._top} if self._clock.every else {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with a ranking."""
        self._top = state.get("top", self._top)
