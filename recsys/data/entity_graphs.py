"""Graphs of users alone or of items alone: joined by common neighbours, or by near rows of a table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from graphkd.kernels.pairs.neighbours import nearest_rows
from recsys.data.interactions import Interactions

_COUNTS = 2**22  # counts of a block of users against all users, and pairs counted for it, at a time


class Around(NamedTuple):
    """Some rows of a graph, with edges given by places in ``nodes`` (m,), all entities that these rows touch.

    own (n,): the place of each row's own entity. row, place, value (e,): the edges, from row ``row`` of the n to
    ``nodes[place]``.
    """

    nodes: Tensor
    own: Tensor
    row: Tensor
    place: Tensor
    value: Tensor

    def mixed(self, x: Tensor, own: float | Tensor, others: float | Tensor) -> Tensor:
        """Add up own x_e + others sum over edges of value x_neighbour: x (m, d) of the ``nodes`` -> (n, d). O(e d)."""
        weight = (others * self.value.to(x.dtype))[:, None]
        mine = own * x.index_select(0, self.own)
        return mine.index_add(0, self.row, x.index_select(0, self.place) * weight)


class EntityGraph(NamedTuple):
    """A sparse N x N matrix as compressed rows: ptr (N + 1,) int64, column (E,) int64, value (E,) float64."""

    ptr: Tensor
    column: Tensor
    value: Tensor

    @classmethod
    def from_edges(cls, edges: Tensor, value: Tensor, size: int) -> EntityGraph:
        """Build from rows and columns (2, E), ascending by row, and their values (E,)."""
        if edges.dim() != 2 or edges.size(0) != 2 or value.shape != edges.shape[1:]:
            raise ValueError(f"'edges' must be (2, E), 'value' (E,), got {tuple(edges.shape)} and {tuple(value.shape)}")
        if bool((edges[0].diff() < 0).any()):
            raise ValueError("'edges' must ascend by row, got rows that descend: sort them with their values")
        ptr = torch.zeros(size + 1, dtype=torch.int64, device=edges.device)
        ptr[1:] = torch.bincount(edges[0], minlength=size).cumsum(0)
        return cls(ptr, edges[1].long(), value)

    def around(self, ids: Tensor, keep: float = 1.0, kept: Tensor | None = None) -> Around:
        """Collect the rows of some entities (n,) and their nodes, edges dropped at random: O(edges of these rows).

        Each edge stays with probability ``keep``, and its value is then divided by ``keep``. ``kept`` (E,) bool, over
        all edges of the graph, replaces the draws.
        """
        start, count = self.ptr[ids], self.ptr[ids + 1] - self.ptr[ids]
        row = torch.repeat_interleave(count)
        edge = start[row] + torch.arange(row.size(0), device=row.device) - (count.cumsum(0) - count)[row]
        if kept is not None or keep < 1:
            stays = kept[edge] if kept is not None else torch.rand(edge.shape, device=edge.device) < keep
            row, edge = row[stays], edge[stays]
        nodes, place = torch.cat([ids, self.column[edge]]).unique(return_inverse=True)
        own, place = place.split([len(ids), len(edge)])
        return Around(nodes, own, row, place, self.value[edge] / keep)


def co_occurrence(pairs: Interactions, k: int = 5) -> EntityGraph:
    """Build FreqD's graph of users by common items (of items: ``pairs.transpose()``). Zhu and Zhang, KDD 2025.

    The neighbours of a row are the ``k`` other rows with most common items, the lowest ids first among equal counts,
    and only rows with at least one common item. Edges have weight 1; (N + N') / 2 makes them mutual, and D^-1/2 A
    D^-1/2 normalises by row sums. Counts only choose neighbours. The authors drop the first of k + 1 rows by its place,
    which need not be the row itself, and fill up with neighbours without common items. O(sum over pairs of the degree
    of their item) time, never N x N.
    """
    if k < 1:
        raise ValueError(f"'k' must be at least 1, got {k}")
    found = [_most(counts, ids, k) for ids, counts in _counted(pairs)]
    edges = torch.cat([*found, torch.zeros(2, 0, dtype=torch.int64, device=pairs.items.device)], dim=1)
    size = pairs.num_users
    keys, place = torch.cat([edges[0] * size + edges[1], edges[1] * size + edges[0]]).unique(return_inverse=True)
    value = torch.bincount(place, minlength=len(keys)).double() / 2
    row, column = keys.div(size, rounding_mode="floor"), keys % size
    degree = torch.zeros(size, dtype=torch.float64, device=keys.device).index_add(0, row, value)
    root = torch.where(degree > 0, degree, 1).rsqrt()
    value = value * root[row] * root[column]
    return EntityGraph.from_edges(torch.stack([row, column]), value, size)


def common(pairs: Interactions, k: int) -> tuple[Tensor, Tensor]:
    """Join users with those they have most items in common with: edges (2, E), and how many items (E,) int64.

    Each user is joined with ``k`` others, chosen as in ``co_occurrence``; every edge occurs once in each direction. Of
    items: ``pairs.transpose()``. Costs as ``co_occurrence``.
    """
    if k < 1:
        raise ValueError(f"'k' must be at least 1, got {k}")
    size, nothing = pairs.num_users, torch.zeros(2, 0, dtype=torch.int64, device=pairs.items.device)
    edges, counted = [nothing], [nothing[0]]
    for ids, counts in _counted(pairs):
        found = _most(counts, ids, k)
        edges.append(found)
        counted.append(counts[found[0] - ids[0], found[1]])
    row, column = torch.cat(edges, dim=1)
    keys, place = torch.cat([row * size + column, column * size + row]).unique(return_inverse=True)
    number = torch.zeros_like(keys).scatter(0, place, torch.cat(counted).repeat(2))  # the same both ways
    return torch.stack([keys.div(size, rounding_mode="floor"), keys % size]), number


def nearest(table: Tensor, k: int = 5, *, padding: bool = False) -> EntityGraph:
    """Build GraphD's graph: each row of a table (N, d) joined with its ``k`` nearest rows, with weight 1 / k.

    Exact, by blocks, O(N^2 d); the authors' code takes distances after a projection to 150 principal components.
    padding: row 0 has no neighbours and is none of the neighbours.
    """
    if k < 1:
        raise ValueError(f"'k' must be at least 1, got {k}")
    first, size = int(padding), table.size(0)
    column = nearest_rows(table.detach()[first:], k) + first
    row = torch.arange(first, size, device=table.device).repeat_interleave(column.size(1))
    value = torch.full(row.shape, 1 / max(column.size(1), 1), dtype=torch.float64, device=table.device)
    return EntityGraph.from_edges(torch.stack([row, column.flatten()]), value, size)


def _counted(pairs: Interactions) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield blocks of users and how many items each has in common with every user: (b,), (b, N) int64."""
    flipped, size = pairs.transpose(), pairs.num_users
    work = torch.zeros(size, dtype=torch.int64, device=pairs.items.device)
    work = work.index_add(0, pairs.users(), flipped.degrees()[pairs.items.long()]).clamp_(min=size)
    block = (work.cumsum(0) - work).div(_COUNTS, rounding_mode="floor")
    sizes = torch.unique_consecutive(block, return_counts=True)[1].tolist()
    for ids in torch.arange(size, device=work.device).split(sizes):
        row, items = pairs.of(ids)
        place, others = flipped.of(items)
        keys = row[place] * size + others
        yield ids, torch.bincount(keys, minlength=len(ids) * size).view(len(ids), size)


def _most(counts: Tensor, ids: Tensor, k: int) -> Tensor:
    """Choose the ``k`` largest positive counts of each row, except its own entity's: (b, N) -> edges (2, e)."""
    size = counts.size(1)
    counts = counts.scatter(1, ids[:, None], 0)
    ranked = counts * size + torch.arange(size - 1, -1, -1, device=ids.device)  # equal counts: the lowest id first
    columns = ranked.topk(min(k, size), dim=1).indices
    some = counts.gather(1, columns) > 0
    return torch.stack([ids[:, None].expand_as(columns)[some], columns[some]])
