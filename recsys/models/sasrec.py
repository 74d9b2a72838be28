"""SASRec: self-attention over a user's latest items."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from recsys.models.embedding import Embedding
from recsys.models.sequential import SequentialRecommender


class Block(nn.Module):
    """Apply causal attention, then a network to each position; both pre-norm and residual."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor, shape: tuple[int, int], at: Tensor | None) -> Tensor:
        """Map positions (n, d) -> (n, d): all of a shape (B, L), or those at places ``at`` in the flat (B L)."""
        width, split = x.size(1), (*shape, 3, self.heads, x.size(1) // self.heads)
        joined = self.qkv(self.before(x))
        if at is not None:
            joined = joined.new_zeros(shape[0] * shape[1], 3 * width).index_copy(0, at, joined)
        query, key, value = joined.view(split).permute(2, 0, 3, 1, 4).unbind(0)
        seen = F.scaled_dot_product_attention(query, key, value, is_causal=True).transpose(1, 2).reshape(-1, width)
        x = x + self._drop(self.out(seen if at is None else seen.index_select(0, at)))
        return x + self._drop(self.narrow(F.gelu(self.wide(self.between(x)))))

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training)


class SASRec(SequentialRecommender):
    """Read a history by causal self-attention. Kang and McAuley, ICDM 2018, arXiv:1808.09781.

    Embeddings of items plus those of positions, ``layers`` blocks of causal attention and a network of width 4 d, a
    norm; the score of an item is the product of a state with its embedding. Padding is on the right, so that causal
    attention excludes it; in training, every part except the attention skips padding. It differs from the authors' code
    by norms before both parts of a block, GELU, dropout only of the embeddings and of what each part adds, and
    positions counted from the oldest item; RecBole has norms after the parts. The task gives the loss. Embeddings of
    items are drawn from N(0, 1/d), by the global generator. O(L^2 d + L d^2) a history.

    Example::

        >>> model = SASRec(num_items=10, width=16, max_length=5, layers=1).eval()
        >>> one, other = model.states(torch.tensor([[3, 7, 2], [3, 7, 9]]))
        >>> torch.allclose(one[:2], other[:2], atol=1e-6)  # later items change no earlier state
        True
    """

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
        self.item, self.position = Embedding(num_items, width, width**-0.5), Embedding(max_length, width, 0.02)
        for table in (self.item, self.position):
            table.reset_parameters()
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def states(self, sequences: Tensor) -> Tensor:
        """Compute states after every item, (B, L) -> (B, L, d)."""
        return self._positions(sequences, None).view(*sequences.shape, -1)

    def tables_of(self, batch: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        """Compute states of a batch's rows, and return them with the table of items."""
        if "at" not in batch:
            return super().tables_of(batch)
        return self._positions(batch["sequences"], batch["at"]), self.items()

    def layers_of(self, sequences: Tensor, at: Tensor | None = None) -> list[Tensor]:
        """Return the first block's input and each block's output, the last after the norm: (n, d) each, flat positions.

        at: places of the wanted positions in the flat (B L); they must include all earlier positions but padding. None:
        all positions.
        """
        batch, length = sequences.shape
        ids, table = sequences.flatten(), self.position.weight
        if at is None:
            x = self.item(ids) + table[:length].repeat(batch, 1)
        else:
            x = self.item(ids.index_select(0, at)) + table.index_select(0, at % length)
        found = [F.dropout(x, self.dropout, self.training)]
        for block in self.blocks:
            found.append(block(found[-1], (batch, length), at))
        found[-1] = self.norm(found[-1])
        return found

    def _positions(self, sequences: Tensor, at: Tensor | None) -> Tensor:
        """Compute states (n, d) of all positions, flat, or of some places."""
        return self.layers_of(sequences, at)[-1]

    def items(self) -> Tensor:
        """Return the table of items, (num_items, d)."""
        return self.item.weight
