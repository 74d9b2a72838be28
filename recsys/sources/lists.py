"""Lists with an order: RRD's and IR-RRD's interesting and uninteresting ones, DCD's by discrepancy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from recsys.interactions import Interactions
from recsys.losses.lists import rank_discrepancy
from recsys.models import Lists, Recommender, frozen
from recsys.sampling import Outside, interesting_positions, weighted_positions
from recsys.sources.common import Clock, drawn


class RRDLists:
    """RRD's lists (Kang et al., CIKM 2020): ``interesting`` (R, K), ``uninteresting`` (R, L) for each distinct user.

    top: ``top_items`` of the teacher without the training items, (U, 500) in the code. Interesting: K positions by
    successive sampling with exp(-(r+1) / T), in the teacher's order, or the first K (``sample=False``, which the
    authors later found better). Uninteresting: L uniform outside training items and ``top``. Both redrawn every epoch.
    O(U (500 + L log nnz)) an epoch. With ``top_users`` and transposed interactions, ids are items: see ``IRRRDLists``.
    """

    def __init__(
        self,
        top: Tensor,
        interactions: Interactions,
        *,
        k: int = 40,
        l: int = 40,  # noqa: E741 - the paper's L
        scale: float = 10.0,
        sample: bool = True,
        names: tuple[str, str] = ("interesting", "uninteresting"),
    ) -> None:
        if not 1 <= k <= top.size(1):
            raise ValueError(f"'k' must be from 1 to {top.size(1)}, the length of 'top', got {k}")
        self.top, self.k, self.l, self.scale, self.sample, self.names = top, k, l, scale, sample, names
        first = int(interactions.padding)  # the lists of padding are nobody's
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
        """Both lists of some users, (R,) -> (R, K), (R, L) int32."""
        interesting, uninteresting = drawn(self._tables)
        return interesting.index_select(0, ids), uninteresting.index_select(0, ids)

    def lists(self, batch: Mapping[str, Any]) -> dict[str, Lists]:
        """The lists of the batch's distinct users."""
        users = batch["unique_users"]
        return {name: Lists(users, items) for name, items in zip(self.names, self.of(users), strict=True)}


class IRRRDLists:
    """IR-RRD's lists (Kang et al., Information Sciences 2021): RRD's, and lists of users for the items in these.

    users: ``RRDLists`` of the teacher's ``top_items``; items: ``RRDLists(top_users, interactions.transpose(), k=20,
    l=20)``. Adds ``interesting_users`` and ``uninteresting_users``, ``Lists`` of users (R, M) for items (R,): the
    distinct items of the batch's two lists, up to B (K + L) of them, most of the catalogue in the authors' settings.
    ``max_items`` takes that many of them at random instead, which scales the summed item loss down in proportion.
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
        """The lists of the batch's distinct users, and of the items in them."""
        found = self.users.lists(batch)
        items = torch.cat([each.items.flatten() for each in found.values()]).unique()
        if self.max_items is not None and items.size(0) > self.max_items:
            items = items[torch.randperm(items.size(0), device=items.device)[: self.max_items]]
        for name, users in zip(self.names, self.items.of(items), strict=True):
            found[name] = Lists(users, items)
        return found


class DCDLists:
    """DCD's lists (Lee and Kim, CIKM 2021): what the student ranks too low and too high within the teacher's list.

    ``underestimated`` and ``overestimated`` (R, k), by successive sampling with the weights of ``rank_discrepancy``, in
    the teacher's order; for each distinct user, or, with ``of_items`` and ``top`` of ``top_users``, lists of users for
    each distinct positive item. The student is ranked anew every ``every`` epochs, O(U N d). Lists are drawn once an
    epoch; the authors draw for every batch (``per_batch``), the same law for each batch. Their k and ``sharpness``
    are unknown; those of RCE-KD's copy are 1/10 and a list of 100.
    """

    def __init__(
        self,
        student: Recommender,
        top: Tensor,
        *,
        k: int = 40,
        sharpness: float = 0.1,
        floor: float = 1e-5,
        every: int = 3,
        per_batch: bool = False,
        of_items: bool = False,
        names: tuple[str, str] | None = None,
    ) -> None:
        if not 1 <= k <= top.size(1):
            raise ValueError(f"'k' must be from 1 to {top.size(1)}, the length of 'top', got {k}")
        self.student, self.top, self.k = student, top, k
        self.sharpness, self.floor, self.per_batch, self.of_items = sharpness, floor, per_batch, of_items
        suffix = "_users" if of_items else ""
        self.names = names or (f"underestimated{suffix}", f"overestimated{suffix}")
        self._clock = Clock(every)
        self._ranks: Tensor | None = None
        self._tables: tuple[Tensor, Tensor] | None = None

    def set_epoch(self, epoch: int, epochs: int) -> None:  # noqa: ARG002 - the protocol gives both
        """Rank anew in epochs that ``every`` divides."""
        self._clock.epoch = epoch

    def resample(self) -> None:
        """Rank the student within the lists if it is time; draw unless that is done for every batch."""
        if self._clock.due() or self._ranks is None:
            self._ranks = self._rank()
        if not self.per_batch:
            self._tables = self._draw(torch.arange(self.top.size(0), device=self.top.device))

    def lists(self, batch: Mapping[str, Any]) -> dict[str, Lists]:
        """The lists of the batch's distinct users, or of its distinct positive items."""
        ids = batch["positives"].unique() if self.of_items else batch["unique_users"]
        tables = self._draw(ids) if self.per_batch else tuple(table[ids] for table in drawn(self._tables))
        pairs = ((each.long(), ids) if self.of_items else (ids, each.long()) for each in tables)
        return {name: Lists(*pair) for name, pair in zip(self.names, pairs, strict=True)}

    def state_dict(self) -> dict[str, Any]:
        """The ranks, kept for several epochs of a changing student."""
        return {"ranks": self._ranks}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with ranks."""
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
