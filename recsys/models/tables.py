"""Two fixed tables of a trained model of inner products."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from recsys.models.base import Recommender
from recsys.models.finite import check_finite


class Tables(Recommender):
    """Hold two fixed tables as buffers: a trained model of inner products, and the usual teacher.

    ``padding``: whether row 0 of both is a placeholder.

    Example::

        >>> tables = Tables(user=torch.eye(2), item=torch.tensor([[3.0, 0.0], [1.0, 2.0]]))
        >>> tables(torch.tensor([0, 1]))
        tensor([[3., 1.],
                [0., 2.]])
    """

    user: Tensor  # no annotation is a text in this file: torch.jit.script reads these
    item: Tensor

    def __init__(self, user: Tensor, item: Tensor, *, padding: bool = False) -> None:
        if user.dim() != 2 or item.dim() != 2 or user.size(1) != item.size(1):
            raise ValueError(
                f"'user' and 'item' must be tables of one width, got {list(user.shape)} and {list(item.shape)}"
            )
        if user.dtype != item.dtype or not user.is_floating_point():
            raise TypeError(
                f"'user' and 'item' must be of one floating type, got {user.dtype} and {item.dtype}: use .float()"
            )
        super().__init__(user.size(0), item.size(0))
        self.padding = padding
        self.register_buffer("user", user)
        self.register_buffer("item", item)

    def tables(self) -> tuple[Tensor, Tensor]:
        """Return the two tables."""
        return self.user, self.item

    def users_at(self, users: Tensor) -> Tensor:
        """Return rows of some users, (B,) -> (B, d)."""
        return self.user[users]

    def scores_of(self, queries: Tensor, start: int, stop: int) -> Tensor:
        """Score the items from ``start`` to before ``stop`` for query vectors, (B, d) -> (B, stop - start)."""
        return queries @ self.item[start:stop].T

    def check_finite(self) -> None:
        """Raise ValueError that counts NaN and infinite entries, padding rows apart."""
        for name, table in (("user", self.user), ("item", self.item)):
            check_finite(table[int(self.padding) :], f"'tables' must be finite, but of the {name} table")


@contextmanager
def frozen(model: Recommender) -> Iterator[Recommender]:
    """Yield the model in eval mode without gradients or, if it has tables, these, computed once for the block.

    Example::

        >>> from recsys.models import LightGCN
        >>> model = LightGCN(split.train, width=4)
        >>> with frozen(model) as fixed:
        ...     users, items = fixed.tables()
        >>> users.requires_grad, model.training
        (False, True)
    """
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield Tables(*model.tables(), padding=model.padding) if model.has_tables else model
    finally:
        model.train(training)


def tables_of(model: Recommender) -> Tables:
    """Copy a model's tables, computed in eval mode; TypeError for a model without any.

    Example::

        >>> from recsys.models import LightGCN
        >>> teacher = tables_of(LightGCN(split.train, width=4))
        >>> tuple(teacher.user.shape), teacher.user.requires_grad
        ((170, 4), False)
    """
    with frozen(model) as fixed:
        user, item = fixed.tables()
        return Tables(user.detach().clone(), item.detach().clone(), padding=model.padding)


def finite_tables(tables: Tables) -> Tables:
    """Return tables; ValueError that counts their NaN and infinite entries, padding rows apart."""
    if not isinstance(tables, Tables):
        raise TypeError(f"'tables' must be recsys.models.Tables, got {type(tables).__name__}: give tables_of(model)")
    tables.check_finite()
    return tables
