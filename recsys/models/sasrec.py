"""SASRec: self-attention over a user's latest items."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from recsys.models.attentive import AttentiveRecommender


class SASRec(AttentiveRecommender):
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
