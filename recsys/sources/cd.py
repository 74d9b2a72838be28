"""CD's lists: items drawn by rank."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.data.lists import Lists, list_length
from recsys.data.sampling import Outside, best_of_two_positions
from recsys.models.base import Recommender
from recsys.models.rankings import top_items
from recsys.sources._common import Clock, Per, check_per, drawn, look_up, rows_of


class CDLists:
    """CD's list (Lee et al., ICDM 2019): ``drawn`` (B, n) from the guide's top M, the better of two draws, every epoch.

    guide: the teacher, ranked once (``rerank=None``), or the student, ranked anew every ``rerank`` epochs in O(U I d).
    M is ``length``, or what the user with most training items has left. Weights exp(-(r+1) / (``length`` · flatness)):
    UnKD's code has 1 / lambda = 20, n = ``k`` = 50, drawn once; RCE-KD's T = 20, n = 2, M = 3000 both.
    ``distinct=False`` repeats their duplicates.
    """

    def __init__(
        self,
        guide: Recommender,
        interactions: Interactions,
        *,
        k: int | None = None,
        length: int = 3000,
        flatness: float = 20.0,
        distinct: bool = True,
        rerank: int | None = None,
        per: Per = "row",
        name: str = "drawn",
    ) -> None:
        self.guide, self.interactions, self.distinct = guide, interactions, distinct
        self.length = min(length, int(Outside(interactions).free.min()))
        most = self.length if distinct else k or 50  # with independent draws, any number
        self.k = list_length("k", k, 50, most, "what the user with most training items has left, or 'length'")
        self.scale = length * flatness
        self.per, self.name = check_per(per), name
        self._clock = Clock(rerank)
        self._top: Tensor | None = None
        self._table: Tensor | None = None

    def set_epoch(self, epoch: int, epochs: int) -> None:  # noqa: ARG002 - the protocol gives both
        """Set the epoch; the guide is ranked anew in epochs divisible by ``rerank``."""
        self._clock.epoch = epoch

    def resample(self) -> None:
        """Rank the guide if it is due, then draw."""
        if self._clock.due() or self._top is None:
            self._top = top_items(self.guide, self.interactions, self.length)
        draw = best_of_two_positions(
            self._top.size(0), self.length, self.k, self.scale, distinct=self.distinct, device=self._top.device
        )
        self._table = self._top.gather(1, draw)

    def lists(self, batch: Mapping[str, Any]) -> dict[str, Lists]:
        """Return the lists of the batch's users."""
        return {self.name: look_up(drawn(self._table), rows_of(batch, self.per))}

    def state_dict(self) -> dict[str, Any]:
        """Return the ranking where it serves several epochs of a changing guide."""
        return {"top": self._top} if self._clock.every else {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a ranking."""
        self._top = state.get("top", self._top)
