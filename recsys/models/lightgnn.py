"""LightGNN: a propagation with prunable edges and entries, and one weight for each edge."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graphkd.kernels.edges.layout import edge_layout
from graphkd.kernels.edges.products import edge_spmm
from recsys.data.entity_graphs import common
from recsys.data.interactions import Interactions
from recsys.models.base import Recommender
from recsys.models.embedding import Embedding


class LightGNN(Recommender):
    """Propagate tables as LightGCN does, with edges and entries to prune. Chen et al., WSDM 2025, arXiv:2501.03228.

    Tables are the sum over layers 0 ... L of A^l E. E holds the kept entries of a table of users, then items. A is
    D^-1/2 (G + I) D^-1/2 of the training pairs, each entry times its own weight, which is 1 at first, and 0 once it is
    pruned. Both directions of a pair, and loops, have separate weights, so A need not be symmetric. hops: the number of
    other users with most common items (of items: with most common users) to which each is also joined, weighted by the
    number of common neighbours. These edges are a part of G^2, of which the authors take the nine tenths with most
    paths, up to N x N. std 0.1 is LightGCN's. Graph and weights are sparse: O(L nnz width) time, O(nnz + N width)
    memory a layer. The graph is not part of the state dict; weights and masks are.

    Example::

        >>> model = LightGNN(split.train, width=8, layers=2)
        >>> model.prune(edges=torch.zeros_like(model.edge_mask), entries=model.entry_mask)
        >>> model.kept()
        (0.0, 1.0)
        >>> torch.equal(torch.cat(model.tables()), model.table.weight)  # nothing is left to propagate along
        True
    """

    edge_index: Tensor
    values: Tensor
    edge_mask: Tensor
    entry_mask: Tensor

    def __init__(
        self, interactions: Interactions, width: int, layers: int = 2, std: float = 0.1, *, hops: int = 0
    ) -> None:
        super().__init__(interactions.num_users, interactions.num_items)
        self.padding, self.layers = interactions.padding, layers
        self.table = Embedding(self.num_users + self.num_items, width, std)
        self.table.reset_parameters()
        edges, values = _normalised(interactions, hops)
        self.register_buffer("edge_index", edges.flip(0).contiguous(), persistent=False)  # an edge enters its row
        self.register_buffer("values", values, persistent=False)
        self.edge_weight = nn.Parameter(torch.ones(len(values)))
        self.register_buffer("edge_mask", torch.ones(len(values), dtype=torch.bool))
        self.register_buffer("entry_mask", torch.ones(self.num_users + self.num_items, width, dtype=torch.bool))

    @property
    def edges(self) -> Tensor:
        """Return rows and columns of A, (2, nnz)."""
        return self.edge_index.flip(0)

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Restore all edges and entries, with edge weights of 1."""
        self.edge_weight.fill_(1)
        self.edge_mask.fill_(True)
        self.entry_mask.fill_(True)

    def layer_tables(self) -> list[Tensor]:
        """Compute A^l E of the layers l = 0 ... L, (U + I, d) each."""
        layout = edge_layout(self.edge_index, self.num_users + self.num_items)
        weights = (self.values * self.edge_weight * self.edge_mask).index_select(0, layout.order)
        found = [self.table.weight * self.entry_mask]
        for _ in range(self.layers):
            found.append(edge_spmm(weights, found[-1], layout))
        return found

    def tables(self) -> tuple[Tensor, Tensor]:
        """Compute the sums of the layers."""
        user, item = torch.stack(self.layer_tables()).sum(dim=0).split([self.num_users, self.num_items])
        return user, item

    @torch.no_grad()
    def prune(self, edges: Tensor, entries: Tensor) -> None:
        """Prune all but some edges (nnz,) and entries (U + I, d), bool, for good; edge weights become 1 again."""
        self.edge_mask &= edges
        self.entry_mask &= entries
        self.table.weight *= self.entry_mask
        self.edge_weight.fill_(1)

    def kept(self) -> tuple[float, float]:
        """Return the shares of edges and of entries that are kept."""
        edges, entries = (float(mask.float().mean()) for mask in (self.edge_mask, self.entry_mask))
        return edges, entries


def _normalised(interactions: Interactions, hops: int) -> tuple[Tensor, Tensor]:
    """Rows and columns (2, nnz) over users, then items, ascending, and values of D^-1/2 (I + G + hops) D^-1/2."""
    users, items = interactions.pairs()
    first, size = interactions.num_users, interactions.num_users + interactions.num_items
    own = torch.arange(size, device=users.device)
    parts = [torch.stack([own, own]), torch.stack([users, items + first]), torch.stack([items + first, users])]
    values = [torch.ones(part.size(1), dtype=torch.float64, device=users.device) for part in parts]
    if hops:
        for pairs, shift in ((interactions, 0), (interactions.transpose(), first)):
            edges, counts = common(pairs, hops)
            parts.append(edges + shift)
            values.append(counts.double())
    edges, value = torch.cat(parts, dim=1), torch.cat(values)
    order = (edges[0] * size + edges[1]).argsort()
    edges, value = edges[:, order], value[order]
    degree = torch.zeros(size, dtype=torch.float64, device=users.device).index_add(0, edges[0], value)
    root = degree.rsqrt()
    return edges, (value * root[edges[0]] * root[edges[1]]).to(torch.get_default_dtype())
