"""Pairs of nodes that no edge joins, drawn anew for each epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from graphkd.core.batches import changed
from graphkd.core.by_name import lookup
from graphkd.tasks.link_types import EdgeType, draw_ends, message_edges


class WithNegatives:
    """One graph as a loader of one batch: its training edges, and as many pairs without an edge, drawn at each pass.

    Pairs are drawn uniformly, by torch's global generator, from those of different nodes that neither ``edge_index``
    nor the training edges join, in either direction; between two types of nodes, from those of a source and a target.
    finish: applied to each batch. Raises ValueError where all pairs are joined.
    """

    def __init__(
        self, graph: Any, edges: Tensor, finish: Callable[[Any], Any], edge_type: EdgeType | None = None
    ) -> None:
        self.graph, self.edges, self.finish = graph, edges, finish
        self.one = edge_type is None or edge_type[0] == edge_type[2]
        self.sizes = _counts(graph, edge_type)
        known = torch.cat([message_edges(graph, edge_type), edges], dim=1)
        self._taken = self._key(known).unique()
        count, joined = self.sizes[0] * self.sizes[1], len(self._taken)
        if self.one:
            joined = int((self._taken // self.sizes[1] != self._taken % self.sizes[1]).sum())
            count = self.sizes[0] * (self.sizes[0] - 1) // 2
        if joined >= count:
            nodes = f"{self.sizes[0]} nodes" if self.one else f"{self.sizes[0]} and {self.sizes[1]} nodes"
            raise ValueError(f"all pairs of {nodes} are joined, none can be drawn that is not")

    def _key(self, pairs: Tensor) -> Tensor:
        """Number each pair, the same in both directions where both ends are of one type."""
        first, last = (pairs.amin(dim=0), pairs.amax(dim=0)) if self.one else pairs
        return first * self.sizes[1] + last

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
            drawn = draw_ends(self.sizes, todo.numel(), device, one=self.one)
            key = self._key(drawn)
            place = torch.searchsorted(self._taken, key).clamp(max=max(len(self._taken) - 1, 0))
            joined = self._taken[place] == key if len(self._taken) else torch.zeros_like(key, dtype=torch.bool)
            good = ~joined & (drawn[0] != drawn[1]) if self.one else ~joined
            pairs[:, todo[good]] = drawn[:, good]
            todo = todo[~good]
        return pairs


def _counts(graph: Any, edge_type: EdgeType | None) -> tuple[int, int]:
    """Count sources and targets."""
    if edge_type is not None:
        return int(graph[edge_type[0]].num_nodes), int(graph[edge_type[2]].num_nodes)
    found = lookup(graph, ("x", "num_nodes"))
    nodes = int(found["x"].size(0)) if isinstance(found.get("x"), Tensor) else int(found["num_nodes"])
    return nodes, nodes
