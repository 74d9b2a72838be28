"""RRD's lists: interesting items in the teacher's order, and uninteresting ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.data.lists import Lists, list_length
from recsys.data.sampling import Outside, interesting_positions
from recsys.sources._common import drawn

_USUAL = 40  # items of each list, in the paper


class RRDLists:
    """RRD's lists (Kang et al., CIKM 2020): ``interesting`` (R, K), ``uninteresting`` (R, L) for each distinct user.

    top: the teacher's ``top_items`` without the training items, (U, 500) in the code. Interesting: K positions by
    successive sampling with exp(-(r+1) / T), in the teacher's order, or the first K (``sample=False``, which the
    authors later found better). Uninteresting: L uniform items outside training items and ``top``. Both are redrawn
    every epoch. k, l: 40 each by default. If the user with most training items has too few items left, L is half of
    these and ``top`` is cut to the rest, which is logged. O(U (500 + L log nnz)) an epoch. With ``top_users`` and
    transposed interactions, ids are items: see ``IRRRDLists``.
    """

    def __init__(
        self,
        top: Tensor,
        interactions: Interactions,
        *,
        k: int | None = None,
        l: int | None = None,  # noqa: E741 - the paper's L
        scale: float = 10.0,
        sample: bool = True,
        names: tuple[str, str] = ("interesting", "uninteresting"),
    ) -> None:
        top, self.l = _room_for(top, interactions, l)
        self.k = list_length("k", k, _USUAL, top.size(1), "the length of 'top'")
        self.top, self.scale, self.sample, self.names = top, scale, sample, names
        first = int(interactions.padding)  # padding has no lists
        self._ids = torch.arange(first, top.size(0), device=top.device)
        listed = Interactions.from_pairs(
            self._ids.repeat_interleave(top.size(1)),
            top[first:].flatten(),
            interactions.num_users,
            interactions.num_items,
            padding=interactions.padding,
        )
        self._outside = Outside(interactions.union(listed))
        self._tables: tuple[Tensor, Tensor] | None = None

    def resample(self) -> None:
        """Draw both lists for all users."""
        interesting = self.top[:, : self.k]
        if self.sample:
            shape = self.top.shape
            positions = interesting_positions(shape[0], shape[1], self.k, self.scale, self.top.device)
            interesting = self.top.gather(1, positions)
        uninteresting = torch.zeros(self.top.size(0), self.l, dtype=torch.int32, device=self.top.device)
        uninteresting[self._ids] = self._outside.several(self._ids, self.l).int()
        self._tables = interesting, uninteresting

    def of(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Return both lists of some users, (R,) -> (R, K), (R, L) int32."""
        interesting, uninteresting = drawn(self._tables)
        return interesting.index_select(0, ids), uninteresting.index_select(0, ids)

    def lists(self, batch: Mapping[str, Any]) -> dict[str, Lists]:
        """Return the lists of the batch's distinct users."""
        users = batch["unique_users"]
        return {name: Lists(users, items) for name, items in zip(self.names, self.of(users), strict=True)}


def _room_for(top: Tensor, interactions: Interactions, asked: int | None) -> tuple[Tensor, int]:
    """Choose L, and cut the teacher's lists, so that every user has L items outside them and the training items."""
    room = int(Outside(interactions).free.min())
    what = f"what a user has left of {room} items outside 'top'"
    if asked is not None:
        return top, list_length("l", asked, _USUAL, room - top.size(1), what)
    length = min(_USUAL, max(room - top.size(1), room // 2))
    if length + top.size(1) > room:
        top = top[:, : room - length]
        what = f"half of the {room} items that a user has left, the others being in 'top'"
    return top, list_length("l", None, _USUAL, length, what)
