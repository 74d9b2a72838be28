"""Item vectors of an outside teacher, added to the embeddings of a sequential model's input."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from recsys.models.sequential import SequentialRecommender


class ItemVectors(nn.Module):
    """A table of items as model input: e_i + ``share`` (W h_i + b), with fixed vectors h. Cui et al., RecSys 2024.

    ``weight``, the table alone, remains the output table, whose products with states are scores. table: (I, d);
    vectors: (I, D), constants that are saved in the state. O(n D d) for the n distinct items of a batch.
    """

    vectors: Tensor

    def __init__(self, table: nn.Embedding, vectors: Tensor, share: float = 0.2) -> None:
        super().__init__()
        if vectors.dim() != 2 or vectors.size(0) > table.num_embeddings:
            raise ValueError(
                f"'vectors' must be ({table.num_embeddings}, D), a vector an item, got {tuple(vectors.shape)}"
            )
        self.table, self.share = table, share
        self.map = nn.Linear(vectors.size(1), table.embedding_dim)
        self.to(table.weight.device)
        short = table.num_embeddings - vectors.size(0)  # rows after the items, such as the mask's, have no vectors
        self.register_buffer("vectors", nn.functional.pad(vectors.detach(), (0, 0, 0, short)).to(table.weight))

    @property
    def weight(self) -> Tensor:
        """Return the table alone."""
        return self.table.weight

    def forward(self, ids: Tensor) -> Tensor:
        """Compute embeddings of some items, (...) -> (..., d)."""
        distinct, place = ids.unique(return_inverse=True)
        added = self.map(self.vectors.index_select(0, distinct))
        found: Tensor = self.table(ids) + self.share * added.index_select(0, place.flatten()).view(*ids.shape, -1)
        return found


class AddedItems(nn.Module):
    """A table of items whose input embeddings have fixed rows added: the form of ``ItemVectors`` after training."""

    added: Tensor

    def __init__(self, table: nn.Embedding, added: Tensor) -> None:
        super().__init__()
        self.table = table
        self.register_buffer("added", added)

    @property
    def weight(self) -> Tensor:
        """Return the table alone."""
        return self.table.weight

    def forward(self, ids: Tensor) -> Tensor:
        """Compute embeddings of some items, (...) -> (..., d)."""
        found: Tensor = self.table(ids) + self.added.index_select(0, ids.flatten()).view(*ids.shape, -1)
        return found


def read_with(model: SequentialRecommender, vectors: Tensor, share: float) -> None:
    """Add vectors to a model's input embeddings of items, in place; ValueError for a model without a table of items.

    SASRec, GRU4Rec, BERT4Rec and RecBole's sequential models have such a table.
    """
    owner, name = _place(model)
    setattr(owner, name, ItemVectors(getattr(owner, name), vectors, share))


@torch.no_grad()
def folded(model: SequentialRecommender) -> SequentialRecommender:
    """Copy a model; vectors, if it has any, are folded into rows of its own width: the same scores."""
    made = copy.deepcopy(model)
    owner, name = _place(made)
    known = getattr(owner, name)
    if isinstance(known, ItemVectors):
        setattr(owner, name, AddedItems(known.table, known.share * known.map(known.vectors)))
    return made


def with_rows(model: SequentialRecommender) -> SequentialRecommender:
    """Copy a model and add rows of zeros to its item inputs; it can then load the weights of a ``dllm2rec`` student.

    Example::

        model = Distilled.load("student/", with_rows(SASRec(split.num_items, 64, max_length=20))).model
    """
    made = copy.deepcopy(model)
    owner, name = _place(made)
    known = getattr(owner, name)
    setattr(owner, name, AddedItems(known, torch.zeros_like(known.weight)))
    return made


def _place(model: SequentialRecommender) -> tuple[Any, str]:
    """Find the module that contains the table of items, and the table's name in it."""
    for owner, name in ((model, "item"), (getattr(model, "model", None), "item_embedding")):
        if isinstance(getattr(owner, name, None), (nn.Embedding, ItemVectors, AddedItems)):
            return owner, name
    raise ValueError(
        f"vectors of items are added where a model reads its table of items, {type(model).__name__} has none that is "
        "known, 'item' or RecBole's 'item_embedding': say vector_weight=0"
    )
