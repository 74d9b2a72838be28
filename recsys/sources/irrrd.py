"""IR-RRD's lists: RRD's, and lists of users for the items in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from recsys.data.lists import Lists
from recsys.sources.rrd import RRDLists


class IRRRDLists:
    """IR-RRD's lists (Kang et al., Information Sciences 2021): RRD's, and lists of users for the items in them.

    users: ``RRDLists`` of the teacher's ``top_items``; items: ``RRDLists(top_users, interactions.transpose(), k=20,
    l=20)``. Adds ``interesting_users`` and ``uninteresting_users``, ``Lists`` of users (R, M) for items (R,): the
    distinct items of the batch's two lists, up to B (K + L) items, which is most of the catalogue in the authors'
    settings. ``max_items`` draws at most that many of these items, which scales the summed item loss down in
    proportion.
    """

    def __init__(
        self,
        users: RRDLists,
        items: RRDLists,
        *,
        max_items: int | None = None,
        names: tuple[str, str] = ("interesting_users", "uninteresting_users"),
    ) -> None:
        self.users, self.items, self.max_items, self.names = users, items, max_items, names

    def resample(self) -> None:
        """Draw all lists of users and of items."""
        self.users.resample()
        self.items.resample()

    def lists(self, batch: Mapping[str, Any]) -> dict[str, Lists]:
        """Return the lists of the batch's distinct users, and of the items in them."""
        found = self.users.lists(batch)
        listed = torch.zeros(self.items.top.size(0), dtype=torch.bool, device=self.items.top.device)
        for each in found.values():
            listed[each.items.flatten().long()] = True
        items = listed.nonzero().squeeze(1)
        if self.max_items is not None and items.size(0) > self.max_items:
            items = items[torch.randperm(items.size(0), device=items.device)[: self.max_items]]
        for name, users in zip(self.names, self.items.of(items), strict=True):
            found[name] = Lists(users, items)
        return found
