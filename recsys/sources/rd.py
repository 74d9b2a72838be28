"""RD's lists: a teacher's top items, and sampled items."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.data.lists import Lists, list_length
from recsys.data.sampling import Outside


class RDLists:
    """RD's lists (Tang and Wang, KDD 2018): ``top`` (B, K), the teacher's best, and ``sampled`` (B, Q) for every row.

    top: the teacher's ``top_items``, (U, K + 1) or wider. A row's own positive is left out, as in the authors' code;
    other training items are left out only if ``top`` was computed without them. ``sampled`` items, for dynamic weights,
    are uniform with replacement outside the user's training items, drawn anew for every row. The code has Q = 100 and K
    = 10, here cut to what ``top`` has; Q = 0 leaves them out. O(B Q log nnz) a batch.
    """

    def __init__(
        self,
        top: Tensor,
        interactions: Interactions,
        *,
        k: int | None = None,
        samples: int = 100,
        names: tuple[str, str] = ("top", "sampled"),
    ) -> None:
        if k is not None and top.size(1) <= k:
            raise ValueError(f"'top' must list at least k + 1 = {k + 1} items, got {top.size(1)}")
        k = list_length("k", k, 10, top.size(1) - 1, "one less than 'top' lists")
        self.top, self.k, self.samples, self.names = top[:, : k + 1], k, samples, names
        self._outside = Outside(interactions)

    def resample(self) -> None:
        """Do nothing: dynamic samples are drawn with the batches."""

    def lists(self, batch: Mapping[str, Any]) -> dict[str, Lists]:
        """Return the lists of the batch's rows."""
        users = batch["users"]
        top = self.top[users].long()
        target = (top == batch["positives"][:, None]).long().cumsum(dim=1)[:, : self.k]  # 1 from the target's place on
        columns = torch.arange(self.k, device=top.device) + target
        found = {self.names[0]: Lists(users, top.gather(1, columns))}
        if self.samples:
            found[self.names[1]] = Lists(users, self._outside.each(users, self.samples))
        return found
