"""BERT4Rec: attention in both directions, trained to fill in masked items."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recsys.models.embedding import Embedding
from recsys.models.sequential import SequentialRecommender


class BothWays(nn.Module):
    """Attend to all items except padding, then apply a network to each position; both pre-norm and residual."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        """Map states (B, L, d), given the positions that are not padding (B, L) -> (B, L, d)."""
        batch, length, width = x.shape
        joined = self.qkv(self.before(x)).view(batch, length, 3, self.heads, width // self.heads)
        query, key, value = joined.permute(2, 0, 3, 1, 4).unbind(0)
        seen = F.scaled_dot_product_attention(query, key, value, attn_mask=there[:, None, None])
        x = x + self._drop(self.out(seen.transpose(1, 2).reshape(batch, length, width)))
        return x + self._drop(self.narrow(F.gelu(self.wide(self.between(x)))))

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training)


class BERT4Rec(SequentialRecommender):
    """Attend to a history in both directions, with a mask after it. Sun et al., CIKM 2019, arXiv:1904.06690.

    Embeddings of items and of positions, ``layers`` blocks, a norm; the product of the state at the mask with the item
    embeddings scores what comes next. It differs from the authors' code by norms before both parts of a block, by
    positions counted from the oldest item, and by products with the embeddings without a layer and a bias between.
    ``encode`` returns the states of a sequence with masks, id ``mask``. The method ``emkd`` trains it on these; other
    methods train it only on the mask after each history, row by row. O(L^2 d + L d^2) a history.

    Example::

        >>> model = BERT4Rec(num_items=10, width=16, max_length=5).eval()
        >>> tuple(model(torch.tensor([[3, 7, 2], [4, 0, 0]]), lengths=torch.tensor([3, 1])).shape)
        (2, 10)
        >>> tuple(model.encode(torch.tensor([[3, model.mask, 2]])).shape)  # states beside a masked item
        (1, 3, 16)
    """

    causal = False

    def __init__(
        self,
        num_items: int,
        width: int,
        *,
        max_length: int = 50,
        layers: int = 2,
        heads: int = 2,
        dropout: float = 0.2,
    ) -> None:
        if width < 1 or heads < 1 or width % heads:
            raise ValueError(f"'width' must be a multiple of 'heads', got {width} and {heads}")
        if layers < 1 or not 0 <= dropout < 1:
            raise ValueError(f"'layers' must be at least 1 and 'dropout' below 1, got {layers} and {dropout}")
        super().__init__(num_items, max_length)
        self.dropout, self.mask = dropout, num_items
        self.item, self.position = Embedding(num_items + 1, width, width**-0.5), Embedding(max_length + 1, width, 0.02)
        for table in (self.item, self.position):
            table.reset_parameters()
        self.blocks = nn.ModuleList(BothWays(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def encode(self, sequences: Tensor) -> Tensor:
        """Compute states of sequences with masks, right-padded with 0: (B, L) -> (B, L, d), L up to max_length + 1."""
        x = self.item(sequences) + self.position.weight[: sequences.size(1)]
        x = F.dropout(x, self.dropout, self.training)
        there = sequences > 0
        for block in self.blocks:
            x = block(x, there)
        found: Tensor = self.norm(x)
        return found

    def last(self, sequences: Tensor, lengths: Tensor, owners: Tensor | None = None) -> Tensor:  # noqa: ARG002 - see the base
        """Compute states at a mask after each history, (B, L), (B,) -> (B, d)."""
        masked = torch.full_like(lengths, self.mask)[:, None]
        longer = F.pad(sequences, (0, 1)).scatter(1, lengths[:, None], masked)
        found = self.encode(longer)
        return found[torch.arange(found.size(0), device=found.device), lengths]

    def items(self) -> Tensor:
        """Return the table of items, (num_items, d), without the mask."""
        return self.item.weight[: self.num_items]
