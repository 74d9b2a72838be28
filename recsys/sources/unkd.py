"""UnKD's lists: groups of equal popularity, and pairs within them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from graphkd.core.fingerprint import fingerprint
from recsys.data.interactions import Interactions
from recsys.data.lists import Lists
from recsys.data.sampling import pair_positions
from recsys.models.base import Recommender, check_model
from recsys.models.rankings import kept_lists, masked_scores, row_ids
from recsys.models.tables import frozen
from recsys.sources._common import Per, check_per, drawn, look_up, rows_of


class GroupLists(NamedTuple):
    """The best items of every user in every group.

    items (U, G, m) int32, best first; lengths (U, G) int64: how many of the m are valid; the other entries repeat the
    first.
    """

    items: Tensor
    lengths: Tensor


def top_per_group(
    model: Recommender,
    interactions: Interactions,
    group: Tensor,
    m: int,
    *,
    block_users: int = 512,
    cache: str | Path | None = None,
) -> GroupLists:
    """Rank the m items of highest score in each group for every user, except the user's ``interactions``.

    group: (num_items,) int64 from ``popularity_groups``, -1 for items in no group. UnKD's code has m = 1000; with rank
    weights exp(-(r+1)/mu) a list of 10 mu misses a mass of e^-10. cache: a file for the lists, as for ``top_items``.
    O(U I d) once; stores (U, G, m) int32.
    """
    check_model(model, interactions)
    members = [(group == g).nonzero().squeeze(1) for g in range(int(group.max()) + 1)]

    def make() -> dict[str, Tensor]:
        users = row_ids(model.num_users, (interactions,)).split(block_users)
        with frozen(model) as fixed:
            blocks = [_group_block(masked_scores(fixed.score_items, each, interactions), members, m) for each in users]
        return {"items": torch.cat([b.items for b in blocks]), "lengths": torch.cat([b.lengths for b in blocks])}

    key = {"what": "top per group", "m": m, "group": fingerprint(group)}
    return GroupLists(**kept_lists(cache, key, model, interactions, make))


def popularity_groups(items: Tensor, num_items: int, groups: int) -> Tensor:
    """Divide items into UnKD's groups of about equal popularity (Chen et al., WSDM 2023): (num_items,) int64.

    items: the items of the training pairs in their order. Items are taken by count, descending, ties by first
    appearance. An item opens the next group if it would raise the current one above a share 1/``groups`` of all pairs;
    a last group of at most half a share joins the one before. Items without a pair have group -1. There may be more or
    fewer groups than ``groups``.
    """
    if groups < 1:
        raise ValueError(f"'groups' must be at least 1, got {groups}")
    counts = torch.bincount(items, minlength=num_items).tolist()
    seen = list(dict.fromkeys(items.tolist()))
    share = len(items) / groups
    parts: list[list[int]] = [[]]
    total = 0
    for item in sorted(seen, key=lambda item: -counts[item]):
        if total + counts[item] > share and parts[-1]:
            parts.append([])
            total = 0
        parts[-1].append(item)
        total += counts[item]
    if len(parts) > 1 and total <= share / 2:
        last = parts.pop()
        parts[-1] += last
    group = torch.full((num_items,), -1, dtype=torch.long)
    for number, members in enumerate(parts):
        group[members] = number
    return group


def pairs_per_group(group: Tensor, counts: Tensor, total: int, power: float = 0.0) -> tuple[list[int], Tensor, Tensor]:
    """Compute UnKD's number of pairs of each group, its shares (G,), and the shares before the power, float64.

    counts: training pairs of every item. share_g ~ (max + min of the mean popularity) - mean popularity of g, rounded
    to two decimals and at least 0.1, then raised to ``power`` and normalised: 0, the authors' default, gives equal
    shares. Numbers are rounded half to even; where they add up to less than ``total``, the first groups get one more.
    """
    size = int(group.max()) + 1
    mean = torch.stack([counts[group == g].double().mean() for g in range(size)])
    base = mean.max() + mean.min() - mean
    base = torch.tensor([max(round(float(x), 2), 0.1) for x in base / base.sum()], dtype=torch.float64)
    share = base**power / (base**power).sum()
    numbers = [round(float(x) * total) for x in share]
    for number in range(min(max(total - sum(numbers), 0), size)):
        numbers[number] += 1
    return numbers, share, base


def _group_block(scores: Tensor, members: list[Tensor], m: int) -> GroupLists:
    items, lengths = [], []
    for ids in members:
        best = scores[:, ids].topk(min(m, ids.size(0)), dim=1)
        length = (best.values > -torch.inf).sum(dim=1).to(ids.device)
        found = ids[best.indices.to(ids.device)]
        missing = torch.arange(found.size(1), device=found.device) >= length[:, None]
        found = torch.where(missing, found[:, :1], found)
        items.append(torch.cat([found, found[:, :1].expand(-1, m - found.size(1))], dim=1).int())
        lengths.append(length)
    return GroupLists(torch.stack(items, dim=1), torch.stack(lengths, dim=1))


class UnKDLists:
    """UnKD's pairs (Chen et al., WSDM 2023): ``better`` and ``worse`` (B, P), within groups of equal popularity.

    lists: ``top_per_group`` of the teacher; numbers: pairs of each group, from ``pairs_per_group``. Redrawn every epoch
    in closed form, O(U P). ``swap_quirk`` repeats the authors' defect, see ``pair_positions``. A user who has fewer
    than two items of a group left gets pairs of one item with itself there, which have no gradient.
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
        """Compute groups, numbers and lists; ``length`` 10 · scale misses a mass of e^-10 of the authors' 1000."""
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
        """Return the pairs of the batch's users."""
        users = rows_of(batch, self.per)
        return {name: look_up(table, users) for name, table in zip(self.names, drawn(self._tables), strict=True)}
