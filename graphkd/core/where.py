"""Rows of a batch that a loss reads: named masks and ids, seeds of a sampled batch, and what these have in common."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor

from graphkd.core.batches import sampled
from graphkd.core.by_name import Batch, fill, lookup
from graphkd.core.identity import Once
from graphkd.core.masks import check_rows

Where = str | tuple[str, ...]

_NAME = re.compile(r"~?[^\W\d][\w.-]*")
_once = Once()


def read_where(where: Any) -> Where:
    """Check a selection of rows; ValueError that says what ``where`` may be."""
    found = tuple(where) if isinstance(where, (tuple, list)) else (where,)
    fits = [isinstance(name, str) and _NAME.fullmatch(name) and name not in ("~seed", "~all") for name in found]
    if not found or not all(fits):
        raise ValueError(
            "'where' must be the name of a mask or of row ids in the batch, '~name' for the other rows of a mask, "
            "'seed' for the seeds of a sampled batch, 'all', or a tuple of such for the rows that all of them select, "
            f"as ('seed', 'train_mask'), got {where!r}"
        )
    return found if len(found) > 1 else found[0]


class Rows:
    """Rows of one batch that ``where`` selects; None selects the seeds of a sampled batch, and all of any other.

    Seeds are the first ``batch_size`` rows of PyG's ``NeighborLoader``, the only ones whose neighbourhood is whole, and
    the roots of its ``ShaDowKHopSampler``. In a batch of graphs ``batch_size`` counts graphs and selects no rows.
    """

    def __init__(self, where: Where | None, batch: Batch) -> None:
        asked = (where,) if isinstance(where, str) else where or ()
        self._where, self._batch = where, batch
        self._names = [name for name in asked if name not in ("all", "seed")]
        self._roots, self._seeds = sampled(batch)
        known = self._roots is not None or self._seeds is not None
        if "seed" in asked and not known:
            _refuse_seeds(batch)
        self._by_seed = "seed" in asked or (where is None and known)
        self._found: dict[int, Tensor | slice] = {}

    @property
    def all(self) -> bool:
        """Tell whether every row is read."""
        return not self._names and not self._by_seed

    def of(self, tensor: Tensor) -> Tensor:
        """Select these rows of a tensor with one entry per row of the batch, or per seed."""
        if self.all:
            return tensor
        count = tensor.size(0) if tensor.dim() else 0
        if count not in self._found:
            self._found[count] = self._select(count)
        return tensor[self._found[count]]

    def reads(self) -> list[Tensor]:
        """List the tensors of the batch that determine the rows."""
        found = [self._entry(name)[1] for name in self._names]
        if self._by_seed:
            found.append(torch.tensor(self._seeds) if self._roots is None else self._roots)
        return found

    def _select(self, count: int) -> Tensor | slice:
        """Select the rows among ``count``, in the order of the roots or ids where there are some, repeats kept."""
        nodes = _nodes(self._batch, count) if self._by_seed or self._roots is not None else count
        number = self._seeds if self._roots is None else self._roots.numel()
        own = count == number != nodes and (self._by_seed or self._roots is not None)  # has one row per seed only
        if self._by_seed and not own and count != nodes:
            return self._of_other_things(count, nodes)
        if self._by_seed and self._roots is None and not self._names:
            return slice(self._seeds)
        chosen = [self._chosen(name, nodes if own else count) for name in self._names]
        found = self._begin(chosen, own)
        kept = [other[found] if other.dtype == torch.bool else torch.isin(found, other) for other in chosen]
        if self._by_seed and self._seeds is not None:
            kept.append(found < self._seeds)
        if not kept:
            return slice(None) if own else found
        both = kept[0] if len(kept) == 1 else torch.stack(kept).all(dim=0)
        return both if own else found[both]

    def _of_other_things(self, count: int, nodes: int) -> slice:
        """Return all rows of an entry that is not of nodes, such as scores of edges; ValueError for "seed"."""
        if self._where is None:
            return slice(None)
        raise ValueError(f"where={self._where!r} selects seeds among {nodes} nodes, got an entry of {count} rows")

    def _begin(self, chosen: list[Tensor], own: bool) -> Tensor:
        """Return the ids from which the selection starts; those taken from ``chosen`` are removed there."""
        if self._roots is not None and (own or self._by_seed):
            return self._roots
        ids = [place for place, each in enumerate(chosen) if each.dtype != torch.bool]
        if self._seeds is not None and (own or (self._by_seed and not ids)):
            return torch.arange(self._seeds, device=chosen[0].device)
        return _ids(chosen.pop(ids[0] if ids else 0))

    def _chosen(self, name: str, rows: int) -> Tensor:
        """Return the mask or the ids of an entry, checked for ``rows`` nodes."""
        named, chosen = self._entry(name)
        known = check_rows(chosen, rows, named)
        if name == named:
            return known
        if known.dtype != torch.bool:
            raise TypeError(f"where={name!r} must negate a boolean mask, got ids as {chosen.dtype}: give a mask")
        return ~known if torch.compiler.is_compiling() else _once(known, "others", lambda: ~known)

    def _entry(self, name: str) -> tuple[str, Tensor]:
        named = name.removeprefix("~")
        return named, fill([named], self._batch, f"where={self._where!r}")[named]


def _ids(chosen: Tensor) -> Tensor:
    if chosen.dtype != torch.bool:
        return chosen
    if torch.compiler.is_compiling():
        return chosen.nonzero()[:, 0]
    return _once(chosen, "ids", lambda: chosen.nonzero()[:, 0])


def _nodes(batch: Batch, otherwise: int) -> int:
    """Count the nodes of a batch by an entry of nodes; ``otherwise`` where it has none."""
    return next((int(found.size(0)) for found in lookup(batch, ("n_id", "x", "batch")).values()), otherwise)


def _refuse_seeds(batch: Any) -> None:
    if hasattr(batch, "num_graphs"):
        raise ValueError("where='seed' is for sampled batches, got a batch of graphs, whose rows are all its own")
    fill(["batch_size"], batch, "where='seed'")
    raise ValueError(f"where='seed' needs one 'batch_size', got {batch['batch_size']}")
