"""Pairs of nodes that no edge joins, drawn anew for each epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from graphkd.core.adjacency import edge_index_of
from graphkd.core.batches import changed
from graphkd.core.by_name import lookup


class WithNegatives:
    """One graph as a loader of one batch: its training edges, and as many pairs that are none, drawn at each pass.

    Pairs are uniform over those of different nodes that neither ``edge_index`` nor the training edges join, in either
    direction; they come from torch's global generator.
    """

    def __init__(self, graph: Any, edges: Tensor, finish: Callable[[Any], Any]) -> None:
        self.graph, self.edges, self.finish = graph, edges, finish
        found = lookup(graph, ("x", "num_nodes"))
        self.nodes = int(found["x"].size(0)) if isinstance(found.get("x"), Tensor) else int(found["num_nodes"])
        known = torch.cat([edge_index_of(graph["edge_index"]), edges], dim=1)
        self._taken = (known.amin(dim=0) * self.nodes + known.amax(dim=0)).unique()
        joined = int((self._taken // self.nodes != self._taken % self.nodes).sum())
        if joined >= self.nodes * (self.nodes - 1) // 2:
            raise ValueError(f"all pairs of {self.nodes} nodes are joined, none can be drawn that is not")

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[Any]:
        pairs = torch.cat([self.edges, self.draw(self.edges.size(1))], dim=1)
        label = torch.zeros(pairs.size(1), device=pairs.device)
        label[: self.edges.size(1)] = 1
        yield self.finish(changed(self.graph, edge_label_index=pairs, edge_label=label))

    def draw(self, count: int) -> Tensor:
        """Draw pairs that are not joined, independently: (2, count)."""
        device = self.edges.device
        pairs = torch.empty(2, count, dtype=torch.long, device=device)
        todo = torch.arange(count, device=device)
        while todo.numel():
            drawn = torch.randint(self.nodes, (2, todo.numel()), device=device)
            key = drawn.amin(dim=0) * self.nodes + drawn.amax(dim=0)
            place = torch.searchsorted(self._taken, key).clamp(max=max(len(self._taken) - 1, 0))
            joined = self._taken[place] == key if len(self._taken) else torch.zeros_like(key, dtype=torch.bool)
            good = ~joined & (drawn[0] != drawn[1])
            pairs[:, todo[good]] = drawn[:, good]
            todo = todo[~good]
        return pairs
