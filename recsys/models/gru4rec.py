"""GRU4Rec: a recurrent net over a user's items."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from recsys.models.embedding import Embedding
from recsys.models.sequential import SequentialRecommender


class GRU4Rec(SequentialRecommender):
    """Read a session by a GRU. Hidasi et al., ICLR 2016, arXiv:1511.06939.

    Embeddings of items, ``layers`` GRUs of width ``hidden``, a linear map back to the embeddings' width; scores are
    products with the embeddings, as in RecBole. The authors' model has a separate output table, and batches of parallel
    sessions. hidden: twice the width by default. Weights are drawn by the global generator. O(L hidden^2) a history;
    in training and evaluation its padding costs nothing.

    Example::

        >>> model = GRU4Rec(num_items=10, width=4, hidden=6, max_length=5).eval()
        >>> tuple(model(torch.tensor([[3, 7, 2], [4, 0, 0]]), lengths=torch.tensor([3, 1])).shape)
        (2, 10)
    """

    def __init__(
        self,
        num_items: int,
        width: int,
        *,
        hidden: int | None = None,
        max_length: int = 50,
        layers: int = 1,
        dropout: float = 0.2,
    ) -> None:
        super().__init__(num_items, max_length)
        hidden = 2 * width if hidden is None else hidden
        if min(width, hidden, layers) < 1 or not 0 <= dropout < 1:
            raise ValueError(
                f"'width', 'hidden' and 'layers' must be at least 1 and 'dropout' below 1, got {width}, {hidden}, "
                f"{layers} and {dropout}"
            )
        self.dropout = dropout
        self.item = Embedding(num_items, width, width**-0.5)
        self.item.reset_parameters()
        self.gru = nn.GRU(width, hidden, layers, batch_first=True, dropout=dropout if layers > 1 else 0.0)
        self.out = nn.Linear(hidden, width)

    def states(self, sequences: Tensor) -> Tensor:
        """Compute states after every item, (B, L) -> (B, L, d)."""
        x = F.dropout(self.item(sequences), self.dropout, self.training)
        found: Tensor = self.out(self.gru(x)[0])
        return found

    def tables_of(self, batch: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        """Compute states of a batch's rows, and return them with the table of items."""
        if "at" not in batch:
            return super().tables_of(batch)
        sequences, at = batch["sequences"], batch["at"]
        x = F.dropout(self.item(sequences), self.dropout, self.training)
        lengths = at.div(sequences.size(1), rounding_mode="floor").bincount(minlength=len(sequences))
        packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
        hidden, _ = pad_packed_sequence(self.gru(packed)[0], batch_first=True, total_length=sequences.size(1))
        return self.out(hidden.flatten(0, 1).index_select(0, at)), self.items()

    def items(self) -> Tensor:
        """Return the table of items, (num_items, d)."""
        return self.item.weight
