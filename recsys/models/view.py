"""View of a recommender for a batch: its tables, and its scores of the batch's lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from recsys.data.lists import Lists
from recsys.models.base import Recommender
from recsys.models.products import inner_products

__all__ = ["Lists", "RecommenderView", "show"]

_OWN = ("own_loss", "own_loss_sum")


class RecommenderView(Mapping[str, Tensor]):
    """Show a recommender's entries for a batch, each computed once, on first access.

    ``user``, ``item``: the tables, where the model has tables. For every entry of the batch that is a ``Lists``, under
    the same name: its scores (R, M). ``own_loss``, ``own_loss_sum``: for a model with its own loss, such as
    ``RecBoleModel``, this loss of the batch in the view's ``epoch``, and the loss times the number of rows. Iteration
    yields only the tables.

    Example::

        >>> from recsys.models import Tables
        >>> model = Tables(torch.eye(2), torch.tensor([[3.0, 0.0], [1.0, 2.0]]))
        >>> view = RecommenderView(model, {"top": Lists(torch.tensor([0, 1]), torch.tensor([[0, 1], [1, 0]]))})
        >>> view["top"]
        tensor([[3., 1.],
                [2., 0.]])
    """

    def __init__(self, model: Recommender, batch: Any) -> None:
        self._model, self._batch, self.epoch = model, batch, 0
        self._with_grad = torch.is_grad_enabled()
        self._tables: tuple[Tensor, Tensor] | None = None
        self._shown: dict[str, Tensor] = {}

    def __getitem__(self, name: str) -> Tensor:
        if name in self:
            with torch.set_grad_enabled(self._with_grad and torch.is_grad_enabled()):
                if name in ("user", "item"):
                    return self._both()[name == "item"]
                if name not in self._shown:
                    self._shown[name] = self._own(name) if name in _OWN else self._score(name)
                return self._shown[name]
        raise KeyError(f"the view has the tables {list(self)} and the lists {self.lists()}, not {name!r}")

    def __contains__(self, name: object) -> bool:
        if name in ("user", "item"):
            return self._model.has_tables
        if name in _OWN:
            return hasattr(self._model, "own_loss")
        return name in self._batch and isinstance(self._batch[name], Lists)

    def __iter__(self) -> Iterator[str]:
        return iter(("user", "item") if self._model.has_tables else ())

    def __len__(self) -> int:
        return 2 * self._model.has_tables

    def lists(self) -> list[str]:
        """List the names of the batch's lists."""
        return [name for name in self._batch if isinstance(self._batch[name], Lists)]

    def _both(self) -> tuple[Tensor, Tensor]:
        if self._tables is None:
            self._tables = self._model.tables()
        return self._tables

    def _own(self, name: str) -> Tensor:
        summed = name == "own_loss_sum"
        loss: Tensor = self._model.own_loss(self._batch, epoch=self.epoch, summed=summed)  # type: ignore[operator]
        return loss

    def _score(self, name: str) -> Tensor:
        """Score a list, together with lists of the same rows and similar length: separate products cost more."""
        users, items = self._pairs(name)
        if not self._model.has_tables:
            return self._model.score(users, items)
        side = int(items.size(1) != 1 or users.size(1) == 1)  # which ids are listed
        names = [name, *self._alike(name, side)]
        lists = [self._pairs(each)[side] for each in names]
        joined = torch.cat(lists, dim=1) if len(lists) > 1 else lists[0]
        scores = inner_products(*self._both(), *((users, joined) if side else (joined, items)))
        self._shown |= dict(zip(names, scores.split([ids.size(1) for ids in lists], dim=1), strict=True))
        return self._shown[name]

    def _pairs(self, name: str) -> tuple[Tensor, Tensor]:
        """Return users and items of a list, one of them as a column."""
        users, items = self._batch[name]
        if users.dim() + items.dim() != 3 or users.size(0) != items.size(0):
            raise ValueError(
                f"{name!r} must be Lists of users (R,) and items (R, M), or (R, M) and (R,), got {list(users.shape)} "
                f"and {list(items.shape)}"
            )
        return (users[:, None], items) if users.dim() == 1 else (users, items[:, None])

    def _alike(self, name: str, side: int) -> list[str]:
        """Name other lists of the same rows with half to twice the length; none for a list of one column."""
        rows, length = self._batch[name][1 - side], self._pairs(name)[side].size(1)

        def fits(other: str) -> bool:
            ids = self._batch[other][side]
            same = self._batch[other][1 - side] is rows and ids.dim() == 2 and other not in (name, *self._shown)
            return same and length <= 2 * ids.size(1) <= 4 * length

        return [] if length == 1 else [other for other in self.lists() if fits(other)]


def show(model: nn.Module, batch: Any) -> RecommenderView:
    """Show a recommender for a batch: ``Distiller(student, Frozen(teacher, call=show), losses, call=show)``.

    Example::

        >>> from recsys.models import MF
        >>> view = show(MF(170, 180, width=4), {"top": Lists(torch.tensor([5]), torch.tensor([[0, 7, 9]]))})
        >>> tuple(view["user"].shape), tuple(view["top"].shape)
        ((170, 4), (1, 3))
    """
    if not isinstance(model, Recommender):
        raise TypeError(f"'model' must be a Recommender, got {type(model).__name__}")
    return RecommenderView(model, batch)
