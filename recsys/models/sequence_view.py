"""View of a sequential recommender, or of its stored states, for a batch of histories."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from recsys.losses.next_item import item_logits
from recsys.models.sequential import SequentialRecommender
from recsys.models.tables import Tables
from recsys.models.view import RecommenderView


class SequenceView(RecommenderView):
    """Show a sequential model's entries for a batch of ``SequenceBatches``, each computed once, on first access.

    ``user``: the states of the batch's rows (N, d), by the numbers 0 … N-1. ``item``: the table of items (I, d), whose
    last column is the items' bias, where there is one. ``logits``: of all items, (N, I), or, with ``candidates`` in the
    batch, of the target and these, (N, 1 + M). Padding, and a candidate that is the target, have the logit -5e4. The
    scores of the batch's ``Lists`` by name, and ``own_loss``, are as in ``RecommenderView``. In place of a teacher,
    ``Tables`` of its states of all rows may be given.

    Example::

        >>> from recsys.models import GRU4Rec
        >>> batch = {"sequences": torch.tensor([[3, 7, 0]]), "lengths": torch.tensor([2])}
        >>> view = SequenceView(GRU4Rec(num_items=10, width=4), batch)
        >>> tuple(view["user"].shape), tuple(view["logits"].shape)
        ((1, 4), (1, 10))
        >>> view["logits"][0, 0].item()  # padding is no item
        -50000.0
    """

    def __init__(self, model: SequentialRecommender | Tables, batch: Any) -> None:
        super().__init__(model, batch)  # type: ignore[arg-type]

    def __getitem__(self, name: str) -> Tensor:
        if name == "logits":
            if name not in self._shown:
                with torch.set_grad_enabled(self._with_grad and torch.is_grad_enabled()):
                    self._shown[name] = self._logits()
            return self._shown[name]
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        return name in ("user", "item", "logits") or super().__contains__(name)

    def __iter__(self) -> Iterator[str]:
        return iter(("user", "item", "logits"))

    def __len__(self) -> int:
        return 3

    def _both(self) -> tuple[Tensor, Tensor]:
        if self._tables is None:
            model: Any = self._model
            if isinstance(model, Tables):
                self._tables = model.user[self._batch["rows"]], model.item
            else:
                self._tables = model.tables_of(self._batch)
        return self._tables

    def _logits(self) -> Tensor:
        return item_logits(*self._both(), *(self._batch.get(name) for name in ("targets", "candidates")))


def show_rows(model: nn.Module, batch: Any) -> SequenceView:
    """Show a sequential model for a batch: ``Distiller(student, Frozen(teacher, call=show_rows), losses, ...)``.

    Example::

        >>> from recsys.models import GRU4Rec
        >>> batch = {"sequences": torch.tensor([[3, 7, 0]]), "lengths": torch.tensor([2])}
        >>> sorted(show_rows(GRU4Rec(num_items=10, width=4), batch))
        ['item', 'logits', 'user']
    """
    if not isinstance(model, (SequentialRecommender, Tables)):
        raise TypeError(f"'model' must be a SequentialRecommender, or Tables of rows, got {type(model).__name__}")
    return SequenceView(model, batch)
