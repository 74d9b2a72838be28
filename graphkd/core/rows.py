"""Data of a problem by node id, of one graph or of a loader's batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from graphkd.core.batches import changed, count_rows, first_batch, mapped, own_rows, positions
from graphkd.core.csr import with_rows
from graphkd.core.rng import seeded
from graphkd.core.task import Task
from graphkd.core.view import names


class Rows:
    """Rows of a problem's data by node id; a mixin of ``Problem``.

    In one graph row numbers are the node ids; a loader's batches have them as ``n_id``. Passes over a loader are made
    under the run's seed and leave its stream of random numbers unchanged.
    """

    data: Any
    task: Task
    seed: int

    @cached_property
    def first(self) -> Any:
        """Return the first batch."""
        with seeded(self.seed):
            return first_batch(self.data)

    @cached_property
    def nodes(self) -> int:
        """Count the nodes: rows, or one more than the largest ``n_id`` of the loader."""
        if names(self.data) is not None:
            return count_rows(self.data)
        count, known = 0, torch.zeros(0, dtype=torch.float64)
        with seeded(self.seed):
            for batch in self.data:
                ids = _ids(batch)
                count = max(count, 1 + int(ids.max()) if ids.numel() else 0)
                known = _same_nodes(known, ids[: own_rows(batch)].cpu(), batch)
        return count

    @property
    def features(self) -> int:
        """Return the width of ``x``."""
        return int(self.first["x"].size(1))

    def gather(self, rows: Callable[[Any], Tensor]) -> Tensor:
        """Compute ``rows(batch)`` (n, ...) for every batch; return it by node id, (N, ...), 0 for nodes in no batch.

        Of a neighbour-sampled batch only the seeds' rows are taken.
        """
        if names(self.data) is not None:
            return rows(self.data)
        found: Tensor | None = None
        with seeded(self.seed):
            for batch in self.data:
                part, own = rows(batch), own_rows(batch)
                ids = _ids(batch)[:own].to(part.device)
                if part.layout != torch.strided:
                    found = with_rows(found, part, ids, self.nodes)
                    continue
                if found is None:
                    found = part.new_zeros(self.nodes, *part.shape[1:])
                found[ids] = part[:own]
        assert found is not None
        return found

    def values_of(self, name: str) -> Tensor:
        """Return an entry of the data by node id, (N, ...)."""
        return self.gather(lambda batch: batch[name])

    @property
    def labelled(self) -> str:
        """Return the name of the batch entry that selects labelled rows, for ``where=`` of a loss."""
        return self.task.labelled

    @cached_property
    def labelled_nodes(self) -> Tensor:
        """Return the ids of the labelled nodes."""
        return self.values_of(self.labelled).nonzero()[:, 0]

    @cached_property
    def targets(self) -> Tensor:
        """Return the labels by node id, (N,), 0 for nodes whose labels may not be learnt."""
        labels = self.gather(self.task.targets)
        return torch.where(self.values_of(self.labelled), labels, torch.zeros_like(labels))

    def split(self, share: float) -> tuple[Tensor, Tensor]:
        """Split the labelled nodes at random: masks (N,) of the rest and of a ``share`` of them, one node at least."""
        rows = self.labelled_nodes
        held = max(1, round(share * rows.numel()))
        if not 0 < share < 1 or held >= rows.numel():
            raise ValueError(f"'share' must leave some of {rows.numel()} labelled rows on both sides, got {share}")
        order = torch.randperm(rows.numel(), generator=torch.Generator().manual_seed(self.seed)).to(rows.device)
        masks = torch.zeros(2, self.nodes, dtype=torch.bool, device=rows.device)
        masks[0, rows[order[held:]]] = True
        masks[1, rows[order[:held]]] = True
        return masks[0], masks[1]

    def with_rows(self, data: Any = None, /, **ids: Tensor) -> Any:
        """Add entries of row ids to the data, given as node ids, repeats kept; for ``where=`` of a loss."""
        return self._mapped(data, lambda batch: {name: positions(batch, chosen) for name, chosen in ids.items()})

    def with_values(self, data: Any = None, /, **values: Tensor) -> Any:
        """Add or replace entries of the data, given as one value per node, (N, ...)."""
        return self._mapped(data, lambda batch: {name: _taken(value, batch) for name, value in values.items()})

    def _mapped(self, data: Any, entries: Callable[[Any], Mapping[str, Any]]) -> Any:
        return mapped(self.data if data is None else data, lambda batch: changed(batch, **entries(batch)))


def _ids(batch: Any) -> Tensor:
    if "n_id" not in batch:
        raise ValueError(
            "a batch of a loader must say which nodes its rows are, as 'n_id': set data.n_id = "
            "torch.arange(data.num_nodes) before the loader is made, of several graphs with numbers that go on from "
            "graph to graph"
        )
    ids: Tensor = batch["n_id"]
    return ids


def _same_nodes(known: Tensor, ids: Tensor, batch: Any) -> Tensor:
    """Add a batch's features to the known checksum of each node, (N,); ValueError where a node has other features."""
    x = batch["x"] if "x" in batch else None  # noqa: SIM401 - a batch need not have get()
    if not isinstance(x, Tensor) or x.layout != torch.strided or x.dim() != 2 or not ids.numel():
        return known
    rows = x[: ids.numel()].double().cpu()
    sums = rows @ torch.arange(1, rows.size(1) + 1, dtype=torch.float64).cos() + rows.sum(dim=1)
    known = torch.cat([known, known.new_full((max(1 + int(ids.max()) - known.numel(), 0),), torch.nan)])
    for _ in range(2):  # an id may come twice in one batch
        other = ((known[ids] - sums).abs() > 1e-6 * (1 + sums.abs())).nonzero()[:, 0]
        if other.numel():
            raise ValueError(
                f"'n_id' must number the nodes of all batches, node {int(ids[other[0]])} has other features in one "
                "place than in another: of several graphs give numbers that go on from graph to graph, as data.n_id = "
                "torch.arange(data.num_nodes) + offset"
            )
        known[ids] = sums
    return known


def _taken(values: Tensor, batch: Any) -> Tensor:
    return values if "n_id" not in batch else values[batch["n_id"].to(values.device)]
