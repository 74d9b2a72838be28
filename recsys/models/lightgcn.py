"""LightGCN: tables that are propagated over the graph of the training pairs."""

from __future__ import annotations

import torch
from torch import Tensor

from graphkd.kernels.edges.layout import EdgeLayout
from graphkd.kernels.edges.products import edge_spmm
from recsys.data.interactions import Interactions
from recsys.models.base import Recommender
from recsys.models.embedding import Embedding


class LightGCN(Recommender):
    """Propagate tables (LightGCN; He et al., SIGIR 2020): the mean over layers 0…L of A^l E, A = D^-1/2 (R; R') D^-1/2.

    ``interactions``: the training pairs. The propagation is a sparse product, O(nnz · width) a layer, and runs at each
    call of ``tables``: once a view. The graph is not part of the state dict. std 0.1 is the authors'.

    Example::

        >>> model = LightGCN(split.train, width=8, layers=2)
        >>> mean = sum(model.layer_tables()) / 3
        >>> torch.allclose(torch.cat(model.tables()), mean)
        True
    """

    ptr: Tensor
    column: Tensor
    value: Tensor

    def __init__(self, interactions: Interactions, width: int, layers: int = 3, std: float = 0.1) -> None:
        super().__init__(interactions.num_users, interactions.num_items)
        self.layers = layers
        self.table = Embedding(self.num_users + self.num_items, width, std)
        self.table.reset_parameters()
        for name, part in zip(("ptr", "column", "value"), _normalised(interactions), strict=True):
            self.register_buffer(name, part, persistent=False)

    def tables(self) -> tuple[Tensor, Tensor]:
        """Compute the propagated tables."""
        table = propagated((self.ptr, self.column, self.value), self.table.weight, self.layers)
        user, item = table.split([self.num_users, self.num_items])
        return user, item

    def layer_tables(self) -> list[Tensor]:
        """Compute A^l E of the layers l = 0 … L, (U + I, d) each."""
        return layers_of((self.ptr, self.column, self.value), self.table.weight, self.layers)


def propagated(graph: tuple[Tensor, Tensor, Tensor], table: Tensor, layers: int) -> Tensor:
    """Average A^l E over layers 0…L, for a table E (n, d) and a symmetric A given by pointers, columns and values."""
    total, *rest = layers_of(graph, table, layers)
    for hidden in rest:
        total = total + hidden
    return total / (layers + 1)


def layers_of(graph: tuple[Tensor, Tensor, Tensor], table: Tensor, layers: int) -> list[Tensor]:
    """Compute A^l E of the layers l = 0 … L, (n, d) each; otherwise as ``propagated``."""
    ptr, column, value = graph
    edges = torch.arange(column.size(0), device=column.device)
    layout = EdgeLayout(ptr, column, column, edges, ptr, column, edges)  # symmetric: both directions are the same
    found = [table]
    for _ in range(layers):
        found.append(edge_spmm(value.to(table.dtype), found[-1], layout))
    return found


def _normalised(interactions: Interactions) -> tuple[Tensor, Tensor, Tensor]:
    """Return pointers, columns and values of D^-1/2 A D^-1/2 over users, then items."""
    most = 2**30 - 1  # both directions of a pair are counted in int32
    if len(interactions) > most:
        raise ValueError(f"LightGCN takes at most {most} training pairs, got {len(interactions)}: give it fewer")
    flipped = interactions.transpose()
    size = interactions.num_users + interactions.num_items
    degree = torch.cat([interactions.degrees(), flipped.degrees()])
    ptr = torch.zeros(size + 1, dtype=torch.int32, device=degree.device)
    ptr[1:] = degree.cumsum(0)
    column = torch.cat([interactions.items + interactions.num_users, flipped.items])
    root = degree.clamp(min=1).double().rsqrt()
    value = root[torch.repeat_interleave(degree)] * root[column]
    return ptr, column, value.to(torch.get_default_dtype())
