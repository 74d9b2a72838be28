"""DLLM2Rec's lists: a teacher's items of every row, their distances from its answer, and an unseen item."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from recsys.data.sequence_rows import SequenceRows


class DLLM2RecLists:
    """DLLM2Rec's lists (Cui et al., RecSys 2024): ``taught`` and ``distances`` (B, K), ``unseen`` (B,), for every row.

    items, distances: (R, K) of all training rows, best first, as ``Ranked.of_rows`` returns them. ``unseen``: a uniform
    item that is neither in the row's history nor its target, drawn anew with every batch, O(B L) a draw. Raises
    ValueError for a row whose history has all items.
    """

    def __init__(self, items: Tensor, distances: Tensor, rows: SequenceRows) -> None:
        if items.dim() != 2 or items.size(0) != len(rows) or distances.shape != items.shape:
            got = [tuple(each.shape) for each in (items, distances)]
            raise ValueError(f"'items' and 'distances' must be ({len(rows)}, K), a list a row, got {got}")
        self.items, self.distances, self.rows = items, distances, rows
        if rows.sequences.num_items - 2 <= rows.max_length:  # otherwise some item is always left
            self._check_unseen()

    def resample(self) -> None:
        """Do nothing: items are drawn with the batches."""

    def lists(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Return the entries of the batch's rows, which are numbered from 1."""
        rows = batch["users"] - 1
        return {"taught": self.items[rows].long(), "distances": self.distances[rows], "unseen": self._drawn(rows)}

    def _drawn(self, rows: Tensor) -> Tensor:
        """Draw uniform items outside histories and targets, with redraws: (B,)."""
        seen, size = self._seen(rows), self.rows.sequences.num_items
        found = torch.randint(1, size, rows.shape)
        left = (seen == found[:, None]).any(dim=1).nonzero().squeeze(1)
        while len(left):
            found[left] = torch.randint(1, size, left.shape)
            left = left[(seen[left] == found[left, None]).any(dim=1)]
        return found

    def _seen(self, rows: Tensor) -> Tensor:
        """Return histories as models read them, and targets, padded with 0: (B, L + 1)."""
        return torch.cat([self.rows.histories(rows).sequences, self.rows.targets[rows][:, None]], dim=1)

    def _check_unseen(self) -> None:
        for rows in torch.arange(len(self.rows)).split(1024):
            ordered = self._seen(rows).sort(dim=1).values
            distinct = (ordered.diff(dim=1) != 0).sum(dim=1) + (ordered[:, 0] > 0)
            if bool((distinct >= self.rows.sequences.num_items - 1).any()):
                row = int(rows[distinct >= self.rows.sequences.num_items - 1][0]) + 1
                raise ValueError(
                    f"'rows' must leave an item that is neither in a history nor its target, row {row} has all "
                    f"{self.rows.sequences.num_items - 1}: leave its user out, or give a smaller max_length"
                )
