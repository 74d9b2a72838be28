"""Edges of a graph sorted twice: by target for sums over the edges that enter a node, by source for gradients."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import scipy.sparse
import torch
from torch import Tensor
from torch_geometric import EdgeIndex

from graphkd.core.identity import Once
from graphkd.kernels.operators import operator

_INT32_MAX = 2**31 - 1
_once = Once()  # training reads one tensor at every step


@dataclass(frozen=True)
class EdgeLayout:
    """Compressed rows of a graph in both directions; every array of edge values is in target order.

    ``ptr`` (N + 1), ``source`` (E), ``target`` (E): the edges that enter node i are ``ptr[i]:ptr[i+1]``.
    ``order`` (E): position of each edge in the original ``edge_index``.
    ``out_ptr`` (N + 1), ``out_target`` (E), ``out_order`` (E): the same edges by source; ``out_order`` indexes
    the target order. All int32 except the two orders (int64). Building costs two counting sorts, O(E).
    """

    ptr: Tensor
    source: Tensor
    target: Tensor
    order: Tensor
    out_ptr: Tensor
    out_target: Tensor
    out_order: Tensor

    @property
    def num_nodes(self) -> int:
        """Return the number of rows, isolated nodes included."""
        return self.ptr.size(0) - 1

    @property
    def num_edges(self) -> int:
        """Return the number of directed edges, duplicates counted."""
        return self.source.size(0)

    @property
    def rows(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Return the arguments of operators over edges: the compressed rows of both directions."""
        return self.ptr, self.source, self.target, self.out_ptr, self.out_target, self.out_order

    def restore(self, values: Tensor) -> Tensor:
        """Put values (E,) from target order back into the order of the ``edge_index``."""
        return torch.empty_like(values).index_copy(0, self.order, values)

    @cached_property
    def undirected(self) -> Undirected | None:
        """Pair each edge with its reverse, duplicates one by one; None where some edge has no reverse.

        Computed at the first use: O(E), plus two sorts where edges are not sorted within their targets.
        """
        if not torch.equal(self.ptr, self.out_ptr):  # in- and out-degrees differ
            return None
        key = self.target.long() * self.num_nodes + self.source
        back = self.source.long() * self.num_nodes + self.target
        by_key = torch.arange(self.num_edges, device=key.device)
        if (key.diff() < 0).any():
            key, by_key = key.sort(stable=True)
        if not torch.equal(key, back[self.out_order]):  # sorted too: by source, then by target
            return None
        return _paired(self, torch.empty_like(by_key).index_copy_(0, by_key, self.out_order))

    def to(self, device: torch.device | str) -> EdgeLayout:
        """Copy to a device."""
        return EdgeLayout(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))


class Undirected(NamedTuple):
    """The edges of an undirected graph in pairs.

    ``reverse`` (E,): position of each edge's reverse. ``half``: layout of the self-loops and of the edges from lower to
    higher node ids, without the arrays for gradients. ``place`` (E,): position in ``half`` of each edge or its reverse.
    """

    reverse: Tensor
    half: EdgeLayout
    place: Tensor


def _paired(layout: EdgeLayout, reverse: Tensor) -> Undirected:
    upwards = layout.source <= layout.target
    rank = upwards.cumsum(0)
    before = torch.cat([rank.new_zeros(1), rank])
    none = layout.ptr.new_empty(0)
    source, target = layout.source[upwards], layout.target[upwards]
    half = EdgeLayout(before[layout.ptr.long()].int(), source, target, none, none, none, none)
    return Undirected(reverse, half, torch.where(upwards, rank, rank[reverse]) - 1)


def edge_layout(edge_index: Tensor | EdgeLayout, num_nodes: int) -> EdgeLayout:
    """Sort a graph's edges for the kernels.

    edge_index: (2, E) integers, row 0 source, row 1 target; or an ``EdgeLayout``, which is returned unchanged.
    The layout of a tensor is cached until the tensor is freed or written to. A sorted ``torch_geometric.EdgeIndex``
    is not sorted again: its cached pointers are used. O(E).
    Raises TypeError for ids that are no integers; ValueError for a wrong shape, an id outside ``range(num_nodes)``, or
    a layout of another number of nodes.
    """
    if isinstance(edge_index, EdgeLayout):
        if edge_index.num_nodes != num_nodes:
            raise ValueError(f"'edge_index' was laid out for {edge_index.num_nodes} nodes, got {num_nodes}")
        return edge_index
    if torch.compiler.is_compiling() or edge_index.is_inference():
        return _laid_out(edge_index, num_nodes)
    layout: EdgeLayout = _once(edge_index, num_nodes, lambda: _laid_out(edge_index, num_nodes))
    return layout


def _laid_out(edge_index: Tensor, num_nodes: int) -> EdgeLayout:
    check_edge_index(edge_index, num_nodes)
    if (
        isinstance(edge_index, EdgeIndex)
        and edge_index.is_sorted
        and tuple(edge_index.sparse_size()) == (num_nodes,) * 2
    ):
        return _from_sorted(edge_index)
    return EdgeLayout(*_sort_edges(edge_index, num_nodes))


def check_edge_index(edge_index: Tensor, num_nodes: int) -> None:
    """Raise what is wrong with an edge_index: dtype, shape, or an id outside ``range(num_nodes)``."""
    if edge_index.is_floating_point() or edge_index.is_complex() or edge_index.dtype == torch.bool:
        raise TypeError(f"'edge_index' must hold integers, got {edge_index.dtype}")
    if edge_index.dim() != 2 or edge_index.size(0) != 2:
        raise ValueError(f"'edge_index' must have shape (2, E), got {tuple(edge_index.shape)}")
    if edge_index.size(1) > _INT32_MAX or num_nodes > _INT32_MAX:
        raise ValueError(
            f"'edge_index' must have fewer than 2^31 nodes and edges, got {num_nodes} and {edge_index.size(1)}"
        )
    if torch.compiler.is_compiling() or edge_index.size(1) == 0:
        return  # ids cannot be read while tracing
    low, high = (int(bound) for bound in edge_index.aminmax())
    if low < 0 or high >= num_nodes:
        raise ValueError(f"'edge_index' must hold node ids in [0, {num_nodes}), got ids from {low} to {high}")


def _from_sorted(edge_index: EdgeIndex) -> EdgeLayout:
    (ptr, source), order = edge_index.get_csc()
    (out_ptr, out_target), out_order = edge_index.get_csr()
    identity = torch.arange(edge_index.size(1), device=edge_index.device)
    order = identity if order is None else order.long()
    rank = torch.empty_like(order).index_copy_(0, order, identity)
    out_order = rank if out_order is None else rank[out_order]
    target = edge_index.as_tensor()[1][order]
    ptr, source, target, out_ptr, out_target = (t.int() for t in (ptr, source, target, out_ptr, out_target))
    return EdgeLayout(ptr, source, target, order, out_ptr, out_target, out_order)


@operator("sort_edges")
def _sort_edges(edge_index: Tensor, num_nodes: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    source, target = edge_index.int()  # 32 bits: half the time of every gather after it
    ones = torch.arange(edge_index.size(1) + 1, dtype=torch.int32, device=edge_index.device)
    ptr, order, _ = by_column(ones, target, num_nodes)
    source, target = source[order], target[order]
    out_ptr, out_target, out_order = by_column(ptr, source, num_nodes)
    return ptr, source, target, order.long(), out_ptr, out_target, out_order.long()


@_sort_edges.register_fake
def _(edge_index: Tensor, num_nodes: int) -> tuple[Tensor, ...]:
    edges = edge_index.new_empty(edge_index.size(1), dtype=torch.int32)
    ptr = edge_index.new_empty(num_nodes + 1, dtype=torch.int32)
    order = edges.new_empty(edges.shape, dtype=torch.int64)
    return (
        ptr,
        edges,
        torch.empty_like(edges),
        order,
        torch.empty_like(ptr),
        torch.empty_like(edges),
        torch.empty_like(order),
    )


def by_column(ptr: Tensor, column: Tensor, columns: int) -> tuple[Tensor, Tensor, Tensor]:
    """Sort compressed rows by column: pointers (columns + 1), and of every entry its row (E,) and old position (E,).

    ptr (R + 1), column (E): int32, as are the results. Entries of a column keep their order. O(E + R + columns) by
    counting on a CPU, a sort on a GPU.
    """
    rows, entries = ptr.size(0) - 1, column.size(0)
    place = torch.arange(entries, dtype=torch.int32, device=column.device)
    if column.device.type == "cpu":
        parts = (part.numpy() for part in (place, column, ptr))
        turned = scipy.sparse.csr_array(tuple(parts), shape=(rows, columns)).tocsc()
        return torch.from_numpy(turned.indptr), torch.from_numpy(turned.indices), torch.from_numpy(turned.data)
    place = column.sort(stable=True).indices.int()
    row = torch.repeat_interleave(ptr.diff(), output_size=entries).int()[place]
    pointer = torch.zeros(columns + 1, dtype=torch.int32, device=column.device)
    pointer[1:] = torch.bincount(column, minlength=columns).cumsum(0)
    return pointer, row, place
