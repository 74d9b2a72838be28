"""Two fixed tables: what is left of a trained model of inner products."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from recsys.models.base import Recommender


class Tables(Recommender):
    """Two fixed tables, kept as buffers: what is left of a trained model of inner products, and the usual teacher."""

    user: Tensor
    item: Tensor

    def __init__(self, user: Tensor, item: Tensor) -> None:
        if user.dim() != 2 or item.dim() != 2 or user.size(1) != item.size(1):
            raise ValueError(
                f"'user' and 'item' must be tables of one width, got {list(user.shape)} and {list(item.shape)}"
            )
        super().__init__(user.size(0), item.size(0))
        self.register_buffer("user", user)
        self.register_buffer("item", item)

    def tables(self) -> tuple[Tensor, Tensor]:
        """The two tables."""
        return self.user, self.item


@contextmanager
def frozen(model: Recommender) -> Iterator[Recommender]:
    """Inside the block, the model in eval mode without gradients, or its tables, if it has some, computed once."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield Tables(*model.tables()) if model.has_tables else model
    finally:
        model.train(training)


def tables_of(model: Recommender) -> Tables:
    """Copy a model's tables, computed in eval mode; TypeError for a model without any."""
    with frozen(model) as fixed:
        user, item = fixed.tables()
        return Tables(user.detach().clone(), item.detach().clone())
