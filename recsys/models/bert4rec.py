"""BERT4Rec: attention in both directions, trained to fill in masked items."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from recsys.models.attentive import AttentiveRecommender


class BERT4Rec(AttentiveRecommender):
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
    masks = 1

    @property
    def mask(self) -> int:
        """Return the id of a masked item."""
        return self.num_items

    def encode(self, sequences: Tensor) -> Tensor:
        """Compute states of sequences with masks, right-padded with 0: (B, L) -> (B, L, d), L up to max_length + 1."""
        x = self.item(sequences) + self.position.weight[: sequences.size(1)]
        x, read = F.dropout(x, self.dropout, self.training).flatten(0, 1), sequences > 0
        for block in self.blocks:
            x = block(x, tuple(sequences.shape), read=read)
        found: Tensor = self.norm(x).view(*sequences.shape, -1)
        return found

    def last(self, sequences: Tensor, lengths: Tensor, owners: Tensor | None = None) -> Tensor:  # noqa: ARG002 - see the base
        """Compute states at a mask after each history, (B, L), (B,) -> (B, d)."""
        masked = torch.full_like(lengths, self.mask)[:, None]
        longer = F.pad(sequences, (0, 1)).scatter(1, lengths[:, None], masked)
        found = self.encode(longer)
        return found[torch.arange(found.size(0), device=found.device), lengths]
