"""Batches that are changed anew whenever they are drawn: what noisy students and contrasts of views learn from."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.teachers import Frozen
from graphkd.core.view import Batch, names

Change = Callable[[Any], Any]


def changed(batch: Batch, **facts: Any) -> Any:
    """A shallow copy of a batch with other facts; the batch itself stays."""
    other: Any = copy.copy(batch)
    for name, fact in facts.items():
        other[name] = fact
    return other


def _check_rate(rate: float) -> float:
    if not 0 <= rate < 1:
        raise ValueError(f"'rate' must be at least 0 and below 1, got {rate}")
    return rate


def drop_edges(batch: Batch, rate: float = 0.2) -> Any:
    """Without a share of ``edge_index``, each edge drawn by itself. Rong et al., ICLR 2020, arXiv:1907.10903."""
    edges: Tensor = batch["edge_index"]
    kept = torch.rand(edges.size(1), device=edges.device) >= _check_rate(rate)
    return changed(batch, edge_index=edges[:, kept])


def mask_features(batch: Batch, rate: float = 0.2) -> Any:
    """With a share of the columns of ``x`` set to 0, each drawn by itself. Zhu et al., 2020, arXiv:2006.04131."""
    x: Tensor = batch["x"]
    kept = torch.rand(x.size(1), device=x.device) >= _check_rate(rate)
    return changed(batch, x=x * kept.to(x.dtype))


def drop_edges_and_features(batch: Batch, rate: float = 0.2) -> Any:
    """Both."""
    return mask_features(drop_edges(batch, rate), rate)


class Changed:
    """``data`` (a batch, or an iterable of batches) for ``fit``, each batch changed anew when it is drawn.

    A batch without ``n_id`` gets its row numbers, so that a ``Cached`` teacher answers about the unchanged graph while
    the student sees the changed one.
    """

    def __init__(self, data: Batch | Iterable[Batch], change: Change) -> None:
        self.data: Any = data
        self.change = change

    def __iter__(self) -> Iterator[Any]:
        for batch in self.data if names(self.data) is None else (self.data,):
            yield with_ids(self.change(batch))


def with_ids(batch: Batch) -> Any:
    """A batch that says which rows it has: its own ``n_id``, or numbers from 0 on."""
    if "n_id" in batch:
        return batch
    rows = batch["x"]
    return changed(batch, n_id=torch.arange(rows.size(0), device=rows.device))


def told(fact: str) -> Frozen:
    """A teacher whose logits stand in the batch, under this name: what it said is kept, or comes from elsewhere."""
    return Frozen(nn.Identity(), call=lambda _, batch: batch[fact])
