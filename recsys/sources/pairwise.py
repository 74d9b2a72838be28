"""UnKD's pairs within groups of equal popularity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from recsys.interactions import Interactions
from recsys.models import Lists, Recommender
from recsys.rankings import GroupLists, pairs_per_group, popularity_groups, top_per_group
from recsys.sampling import pair_positions
from recsys.sources.common import Per, check_per, drawn, look_up, rows_of


class UnKDLists:
    """UnKD's pairs (Chen et al., WSDM 2023): ``better`` and ``worse`` (B, P), within groups of equal popularity.

    lists: ``top_per_group`` of the teacher; numbers: pairs of each group, from ``pairs_per_group``. Redrawn every epoch
    in closed form, O(U P). ``swap_quirk`` repeats the authors' defect, see ``pair_positions``. A user with fewer than
    two items of a group left gets pairs of one item with itself there, which have no gradient.
    """

    def __init__(
        self,
        lists: GroupLists,
        numbers: Sequence[int],
        *,
        scale: float = 20.0,
        swap_quirk: bool = False,
        per: Per = "row",
        names: tuple[str, str] = ("better", "worse"),
    ) -> None:
        if len(numbers) != lists.items.size(1):
            raise ValueError(
                f"'numbers' must have one entry for each of {lists.items.size(1)} groups, got {len(numbers)}"
            )
        self.grouped, self.numbers, self.scale, self.swap_quirk = lists, tuple(numbers), scale, swap_quirk
        self.per, self.names = check_per(per), names
        self._tables: tuple[Tensor, Tensor] | None = None

    @classmethod
    def of_teacher(
        cls,
        teacher: Recommender,
        interactions: Interactions,
        *,
        groups: int = 4,
        pairs: int = 30,
        power: float = 0.0,
        scale: float = 20.0,
        length: int | None = None,
        **options: Any,
    ) -> UnKDLists:
        """Groups, numbers and lists in one; ``length`` 10 · scale misses a mass of e^-10 of the authors' 1000."""
        items = interactions.items.long()
        group = popularity_groups(items.cpu(), interactions.num_items, groups).to(items.device)
        numbers, _, _ = pairs_per_group(group, interactions.counts(), pairs, power)
        lists = top_per_group(teacher, interactions, group, length or int(10 * scale))
        return cls(lists, numbers, scale=scale, **options)

    def resample(self) -> None:
        """Draw the pairs of all users."""
        both: tuple[list[Tensor], list[Tensor]] = ([], [])
        for group, number in enumerate(self.numbers):
            lengths = self.grouped.lengths[:, group]
            drawn = pair_positions(lengths, number, self.scale, swap_quirk=self.swap_quirk)
            for side, positions in zip(both, drawn, strict=True):
                side.append(self.grouped.items[:, group].gather(1, positions))
        self._tables = torch.cat(both[0], dim=1), torch.cat(both[1], dim=1)

    def lists(self, batch: Mapping[str, Any]) -> dict[str, Lists]:
        """The pairs of the batch's users."""
        users = rows_of(batch, self.per)
        return {name: look_up(table, users) for name, table in zip(self.names, drawn(self._tables), strict=True)}
