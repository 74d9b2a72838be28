"""The parts of sequential recommenders by attention: their blocks, their tables, and how these begin."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from recsys.models.embedding import Embedding
from recsys.models.sequential import SequentialRecommender


class Block(nn.Module):
    """Apply attention, then a network to each position; both pre-norm and residual."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(
        self, x: Tensor, shape: tuple[int, int], at: Tensor | None = None, read: Tensor | None = None
    ) -> Tensor:
        """Map positions (n, d) -> (n, d): all of a shape (B, L), or those at places ``at`` in the flat (B L).

        read: (B, L), the positions that each one attends to; by default itself and those before it.
        """
        width, split = x.size(1), (*shape, 3, self.heads, x.size(1) // self.heads)
        joined = self.qkv(self.before(x))
        if at is not None:
            joined = joined.new_zeros(shape[0] * shape[1], 3 * width).index_copy(0, at, joined)
        query, key, value = joined.view(split).permute(2, 0, 3, 1, 4).unbind(0)
        mask = None if read is None else read[:, None, None]
        seen = F.scaled_dot_product_attention(query, key, value, mask, is_causal=read is None)
        seen = seen.transpose(1, 2).reshape(-1, width)
        x = x + self._drop(self.out(seen if at is None else seen.index_select(0, at)))
        return x + self._drop(self.narrow(F.gelu(self.wide(self.between(x)))))

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training)


class AttentiveRecommender(SequentialRecommender):
    """Embed items and positions for blocks of attention with a norm after the last: the base of SASRec and BERT4Rec."""

    masks = 0  # rows of both tables beyond those of items and of a history

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
        self.dropout = dropout
        self.item = Embedding(num_items + self.masks, width, width**-0.5)
        self.position = Embedding(max_length + self.masks, width, 0.02)
        for table in (self.item, self.position):
            table.reset_parameters()
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def items(self) -> Tensor:
        """Return the table of items, (num_items, d)."""
        return self.item.weight[: self.num_items] if self.masks else self.item.weight
