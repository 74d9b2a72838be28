"""Recommenders: models that score items for users."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from recsys.data.interactions import Interactions
from recsys.models.products import check_rows, inner_products


class Recommender(nn.Module):
    """Score items for users, in most models by inner products of two tables.

    A subclass overrides ``tables``, or sets ``has_tables = False`` and overrides ``score``. Called with users, (B,), it
    returns their scores of all items, (B, num_items); ``torch.export`` exports it in this form. ``padding``: whether id
    0 of users and items is a placeholder.

    Example::

        >>> class Popular(Recommender):
        ...     def tables(self):
        ...         return torch.ones(self.num_users, 1), torch.arange(float(self.num_items))[:, None]
        >>> Popular(num_users=2, num_items=3)(torch.tensor([1]))
        tensor([[0., 1., 2.]])
    """

    __constants__ = ("has_tables",)  # for torch.jit.script
    has_tables = True
    padding = False

    def __init__(self, num_users: int, num_items: int) -> None:
        super().__init__()
        self.num_users, self.num_items = num_users, num_items

    def forward(self, users: Tensor) -> Tensor:
        """Score all items for some users: ``score_items``."""
        return self.score_items(users)

    def tables(self) -> tuple[Tensor, Tensor]:
        """Return user table (num_users, d) and item table (num_items, d) whose inner products are the scores."""
        raise TypeError(f"{type(self).__name__} scores without tables; only models with 'has_tables' have some")

    def score(self, users: Tensor, items: Tensor) -> Tensor:
        """Score pairs of users and items, broadcast over both."""
        user, item = self.tables()
        return inner_products(user, item, users, items)

    def score_items(self, users: Tensor) -> Tensor:
        """Score all items for some users, (B,) -> (B, num_items)."""
        if self.has_tables:
            user, item = self.tables()
            return _chosen("users", user, users) @ item.T
        return self.score(users[:, None], torch.arange(self.num_items, device=users.device)[None])

    def score_users(self, items: Tensor) -> Tensor:
        """Score all users for some items, (B,) -> (B, num_users)."""
        if self.has_tables:
            user, item = self.tables()
            return _chosen("items", item, items) @ user.T
        return self.score(torch.arange(self.num_users, device=items.device)[None], items[:, None])


def _chosen(name: str, table: Tensor, ids: Tensor) -> Tensor:
    """Look up rows of a table; IndexError for ids that it lacks. Exported graphs skip this check."""
    if not torch.jit.is_scripting():  # type: ignore[attr-defined]
        check_rows(name, ids, table.size(0))
    return table.index_select(0, ids.to(table.device))


def check_model(model: Recommender, interactions: Interactions, name: str = "model") -> None:
    """Raise ValueError unless a model scores the users and items of the interactions.

    Example::

        >>> from recsys.models import MF
        >>> check_model(MF(170, 180, width=4), split.train)
        >>> check_model(MF(2, 3, width=4), split.train)
        Traceback (most recent call last):
        ValueError: 'model' must score 170 users × 180 items, got 2 × 3
    """
    sizes = (model.num_users, model.num_items), (interactions.num_users, interactions.num_items)
    if sizes[0] != sizes[1]:
        raise ValueError(
            f"'{name}' must score {sizes[1][0]} users × {sizes[1][1]} items, got {sizes[0][0]} × {sizes[0][1]}"
        )
