"""Recommenders, and the view that one shows for a batch: its tables, and its scores of the batch's lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from graphkd.kernels.edges import edge_spmm
from graphkd.kernels.layout import EdgeLayout
from recsys.interactions import Interactions
from recsys.products import inner_products


class Lists(NamedTuple):
    """Pairs whose scores are wanted: users (R,) of items (R, M), or, on the item side, users (R, M) of items (R,)."""

    users: Tensor
    items: Tensor


class Recommender(nn.Module):
    """A model that scores items for users; the scores of most are inner products of two tables.

    A subclass overrides ``tables``, or sets ``has_tables = False`` and overrides ``score``.
    """

    has_tables = True

    def __init__(self, num_users: int, num_items: int) -> None:
        super().__init__()
        self.num_users, self.num_items = num_users, num_items

    def tables(self) -> tuple[Tensor, Tensor]:
        """User table (num_users, d) and item table (num_items, d) whose inner products are the scores."""
        raise TypeError(f"{type(self).__name__} scores without tables; only models with 'has_tables' have some")

    def score(self, users: Tensor, items: Tensor) -> Tensor:
        """Scores of pairs, broadcast over users and items."""
        user, item = self.tables()
        return inner_products(user, item, users, items)

    def score_items(self, users: Tensor) -> Tensor:
        """Scores of all items for some users, (B,) -> (B, num_items)."""
        if self.has_tables:
            user, item = self.tables()
            return user[users] @ item.T
        return self.score(users[:, None], torch.arange(self.num_items, device=users.device)[None])

    def score_users(self, items: Tensor) -> Tensor:
        """Scores of some items for all users, (B,) -> (B, num_users)."""
        if self.has_tables:
            user, item = self.tables()
            return item[items] @ user.T
        return self.score(torch.arange(self.num_users, device=items.device)[None], items[:, None])


class MF(Recommender):
    """Matrix factorisation (Rendle et al., UAI 2009): two free tables, N(0, std²) by the global generator."""

    def __init__(self, num_users: int, num_items: int, width: int, std: float = 0.01) -> None:
        super().__init__(num_users, num_items)
        self.user, self.item = nn.Embedding(num_users, width), nn.Embedding(num_items, width)
        for table in (self.user, self.item):
            nn.init.normal_(table.weight, std=std)

    def tables(self) -> tuple[Tensor, Tensor]:
        """The two tables."""
        return self.user.weight, self.item.weight


class LightGCN(Recommender):
    """LightGCN (He et al., SIGIR 2020): the mean over layers 0…L of A^l E, A = D^-1/2 (R; R') D^-1/2.

    ``interactions``: the training pairs. The propagation is a sparse product, O(nnz · width) a layer, and runs whenever
    the tables are asked for: once a view. The graph is no part of the state dict. std 0.1 is the authors'.
    """

    ptr: Tensor
    column: Tensor
    value: Tensor

    def __init__(self, interactions: Interactions, width: int, layers: int = 3, std: float = 0.1) -> None:
        super().__init__(interactions.num_users, interactions.num_items)
        self.layers = layers
        self.table = nn.Embedding(self.num_users + self.num_items, width)
        nn.init.normal_(self.table.weight, std=std)
        for name, part in zip(("ptr", "column", "value"), _normalised(interactions), strict=True):
            self.register_buffer(name, part, persistent=False)

    def tables(self) -> tuple[Tensor, Tensor]:
        """The propagated tables."""
        table = propagated((self.ptr, self.column, self.value), self.table.weight, self.layers)
        user, item = table.split([self.num_users, self.num_items])
        return user, item


def propagated(graph: tuple[Tensor, Tensor, Tensor], table: Tensor, layers: int) -> Tensor:
    """The mean over layers 0…L of A^l E, for a table E (n, d) and a symmetric A given by pointers, columns, values."""
    ptr, column, value = graph
    edges = torch.arange(column.size(0), device=column.device)
    layout = EdgeLayout(ptr, column, column, edges, ptr, column, edges)  # symmetric: both directions are the same
    hidden = total = table
    for _ in range(layers):
        hidden = edge_spmm(value.to(table.dtype), hidden, layout)
        total = total + hidden
    return total / (layers + 1)


def _normalised(interactions: Interactions) -> tuple[Tensor, Tensor, Tensor]:
    """Pointers, columns and values of D^-1/2 A D^-1/2 over users, then items."""
    flipped = interactions.transpose()
    size = interactions.num_users + interactions.num_items
    degree = torch.cat([interactions.degrees(), flipped.degrees()])
    ptr = torch.zeros(size + 1, dtype=torch.int32, device=degree.device)
    ptr[1:] = degree.cumsum(0)
    column = torch.cat([interactions.items + interactions.num_users, flipped.items])
    root = degree.clamp(min=1).double().rsqrt()
    value = root[torch.repeat_interleave(degree)] * root[column]
    return ptr, column, value.to(torch.get_default_dtype())


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


class RecommenderView(Mapping[str, Tensor]):
    """What a recommender shows for a batch, each entry computed once, when it is first asked for.

    ``user``, ``item``: the tables of a model that has some. The name of every entry of the batch that is a ``Lists``:
    its scores (R, M). Iterating gives the tables alone.
    """

    def __init__(self, model: Recommender, batch: Any) -> None:
        self._model, self._batch = model, batch
        self._with_grad = torch.is_grad_enabled()
        self._tables: tuple[Tensor, Tensor] | None = None
        self._scores: dict[str, Tensor] = {}

    def __getitem__(self, name: str) -> Tensor:
        if name in self:
            with torch.set_grad_enabled(self._with_grad and torch.is_grad_enabled()):
                if name in ("user", "item"):
                    return self._both()[name == "item"]
                if name not in self._scores:
                    self._scores[name] = self._score(name)
                return self._scores[name]
        raise KeyError(f"the view has the tables {list(self)} and the lists {self.lists()}, not {name!r}")

    def __contains__(self, name: object) -> bool:
        if name in ("user", "item"):
            return self._model.has_tables
        return name in self._batch and isinstance(self._batch[name], Lists)

    def __iter__(self) -> Iterator[str]:
        return iter(("user", "item") if self._model.has_tables else ())

    def __len__(self) -> int:
        return 2 * self._model.has_tables

    def lists(self) -> list[str]:
        """The names of the batch's lists."""
        return [name for name in self._batch if isinstance(self._batch[name], Lists)]

    def _both(self) -> tuple[Tensor, Tensor]:
        if self._tables is None:
            self._tables = self._model.tables()
        return self._tables

    def _score(self, name: str) -> Tensor:
        users, items = self._batch[name]
        if users.dim() + items.dim() != 3 or users.size(0) != items.size(0):
            raise ValueError(
                f"{name!r} must be Lists of users (R,) and items (R, M), or (R, M) and (R,), got {list(users.shape)} "
                f"and {list(items.shape)}"
            )
        pairs = (users[:, None], items) if users.dim() == 1 else (users, items[:, None])
        return inner_products(*self._both(), *pairs) if self._model.has_tables else self._model.score(*pairs)


def show(model: nn.Module, batch: Any) -> RecommenderView:
    """The ``call=`` of a recommender: ``Distiller(student, Frozen(teacher, call=show), losses, call=show)``."""
    if not isinstance(model, Recommender):
        raise TypeError(f"'model' must be a Recommender, got {type(model).__name__}")
    return RecommenderView(model, batch)


def check_model(model: Recommender, interactions: Interactions) -> None:
    """Raise ValueError unless a model scores the users and items of the interactions."""
    sizes = (model.num_users, model.num_items), (interactions.num_users, interactions.num_items)
    if sizes[0] != sizes[1]:
        raise ValueError(
            f"'model' must score {sizes[1][0]} users × {sizes[1][1]} items, got {sizes[0][0]} × {sizes[0][1]}"
        )
