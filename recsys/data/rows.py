"""Labelled rows of features, one row for each impression: columns, their split, and batches of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


class Field(NamedTuple):
    """Describe a column of ids below ``size``: (N,), or (N, L) of a ``sequence``, padded with 0.

    Example::

        >>> from recsys.models.clicks import ClickNet
        >>> net = ClickNet({"user": Field(5), "tags": Field(3, sequence=True)}, width=2, hidden=(4,))
        >>> tuple(net({"user": torch.tensor([4, 1]), "tags": torch.tensor([[2, 1], [2, 0]])})["logits"].shape)
        (2,)
    """

    size: int
    sequence: bool = False


@dataclass(frozen=True)
class Rows:
    """Hold all rows of a dataset: ``columns`` (N, ...), the ``fields`` among them, and the row ids of its three parts.

    Example::

        >>> columns = {"user": torch.tensor([1, 2, 1]), "y": torch.tensor([1.0, 0.0, 1.0])}
        >>> rows = Rows(columns, {"user": Field(3)}, *torch.arange(3).split(1))
        >>> rows.take(rows.valid)
        {'user': tensor([2]), 'y': tensor([0.]), 'n_id': tensor([1])}
    """

    columns: Mapping[str, Tensor]
    fields: Mapping[str, Field]
    train: Tensor
    valid: Tensor
    test: Tensor

    def __post_init__(self) -> None:
        sizes = {name: column.size(0) for name, column in self.columns.items()}
        if len(set(sizes.values())) > 1:
            raise ValueError(f"'columns' must have one length, got {sizes}")
        missing = sorted(set(self.fields) - set(self.columns))
        if missing:
            raise ValueError(f"'fields' must be columns, {missing} are not among {sorted(self.columns)}")

    def __len__(self) -> int:
        return next(iter(self.columns.values())).size(0)

    def take(self, ids: Tensor | None = None) -> dict[str, Tensor]:
        """Return a batch of some rows, by default all; ``n_id`` has their numbers, which ``Cached`` teachers need."""
        ids = torch.arange(len(self)) if ids is None else ids
        return {**{name: column[ids] for name, column in self.columns.items()}, "n_id": ids}


class RowBatches:
    """Iterate over batches of some rows, shuffled by torch's global generator unless ``shuffle`` is False.

    Example::

        >>> rows = Rows({"y": torch.arange(5.0)}, {}, *torch.arange(5).split([3, 1, 1]))
        >>> [batch["y"].tolist() for batch in RowBatches(rows, rows.train, batch_size=2, shuffle=False)]
        [[0.0, 1.0], [2.0]]
    """

    def __init__(self, rows: Rows, ids: Tensor, *, batch_size: int = 1024, shuffle: bool = True) -> None:
        if batch_size < 1:
            raise ValueError(f"'batch_size' must be at least 1, got {batch_size}")
        self.rows, self.ids, self.batch_size, self.shuffle = rows, ids, batch_size, shuffle

    def __len__(self) -> int:
        return -(-len(self.ids) // self.batch_size)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        ids = self.ids[torch.randperm(len(self.ids))] if self.shuffle else self.ids
        return map(self.rows.take, ids.split(self.batch_size))
