"""A general RecBole recommender as a ``Recommender``: its scores, its tables where it has some, and its own loss."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from recsys.models.base import Recommender
from recsys.models.lightgcn import propagated
from recsys.models.own_loss import counters, kind_of, own_loss

_CHUNK = 1 << 18  # pairs that a model without tables scores at once


class RecBoleModel(Recommender):
    """A RecBole model as recommender; ``model`` is the plain RecBole module, whose state dict RecBole can load.

    Scores always use the current weights: tables that RecBole's models cache from an earlier propagation are dropped.
    """

    padding = True

    def __init__(self, model: nn.Module, tables: Callable[[Any], tuple[Tensor, Tensor]] | None = None) -> None:
        super().__init__(int(model.n_users), int(model.n_items))  # type: ignore[arg-type]
        self.model = model
        self._kind = _kind(type(model))
        self._tables = tables or _TABLES.get(self._kind)
        self.has_tables = self._tables is not None
        for name, value in counters(model).items():
            self.register_buffer(f"own_{name}", value)

    def tables(self) -> tuple[Tensor, Tensor]:
        """Return the tables whose inner products are the model's scores."""
        if self._tables is None:
            return super().tables()
        with _forgetting(self.model):
            return self._tables(self.model)

    def score(self, users: Tensor, items: Tensor) -> Tensor:
        """Score pairs, broadcast; NeuMF's scores are those before its sigmoid, as its own loss uses them."""
        if self.has_tables:
            return super().score(users, items)
        users, items = torch.broadcast_tensors(self._here(users), self._here(items))
        pairs = zip(users.flatten().split(_CHUNK), items.flatten().split(_CHUNK), strict=True)
        with _forgetting(self.model):
            return torch.cat([self._pairs(*pair) for pair in pairs]).view(users.shape)

    def predict(self, users: Tensor, items: Tensor) -> Tensor:
        """Predict pairs as RecBole does, broadcast: their scores, for NeuMF after its sigmoid."""
        scores = self.score(users, items)
        return scores.sigmoid() if self._kind == "NeuMF" else scores

    def score_items(self, users: Tensor) -> Tensor:
        """Score all items, by ``full_sort_predict`` where the model has one."""
        if self.has_tables or self._kind == "NeuMF":
            return super().score_items(users)
        users = self._here(users)
        with _forgetting(self.model):
            try:
                return self.model.full_sort_predict(self._rows(users)).view(users.size(0), -1)  # type: ignore[operator]
            except NotImplementedError:
                return super().score_items(users)

    def own_loss(self, batch: Mapping[str, Any], *, epoch: int = 0, summed: bool = False) -> Tensor:
        """Compute the model's own loss, ``calculate_loss``, of a batch of pairs; see ``recsys.losses.RecBoleLoss``."""
        model: Any = self.model
        kept = {name: self.get_buffer(f"own_{name}") for name in counters(model)}
        for name, value in kept.items():  # with the values that belong to the weights, also after a resume
            setattr(model, name, value.clone() if isinstance(getattr(model, name), Tensor) else value.item())
        with _forgetting(model), _quick(model, self._kind):
            loss = own_loss(model, batch, epoch=epoch, summed=summed)
        for name, value in kept.items():
            value.copy_(torch.as_tensor(getattr(model, name)))
        return loss

    def _pairs(self, users: Tensor, items: Tensor) -> Tensor:
        model: Any = self.model
        return model(users, items) if self._kind == "NeuMF" else model.predict(self._rows(users, items))

    def _rows(self, *ids: Tensor) -> Any:
        """Return users, or users and items, as RecBole's interaction; ValueError for a model that cannot score yet."""
        from recbole.data.interaction import Interaction

        model: Any = self.model
        if kind_of(model) == "Pop" and model.max_cnt is None:
            raise ValueError(
                "Pop counts items while RecBole's trainer runs and has counted none: train it there, or rank by "
                "Interactions.counts()"
            )
        return Interaction(dict(zip((model.USER_ID, model.ITEM_ID), ids, strict=False)))

    def _here(self, ids: Tensor) -> Tensor:
        return ids.to(next((p.device for p in self.parameters()), ids.device))


@contextmanager
def _forgetting(model: nn.Module) -> Iterator[None]:
    """Drop tables cached from other weights, before and after the block."""
    kept = [name for name in vars(model) if name.startswith("restore_") or name == "i_embedding"]
    for name in kept:
        setattr(model, name, None)
    try:
        yield
    finally:
        for name in kept:
            setattr(model, name, None)


@contextmanager
def _quick(model: Any, kind: str) -> Iterator[None]:
    """Replace LightGCN's own forward by ``_propagated`` inside the block."""
    if kind != "LightGCN":
        yield
        return
    model.forward = lambda: _propagated(model)
    try:
        yield
    finally:
        del model.forward


def _embeddings(model: Any) -> tuple[Tensor, Tensor]:
    return model.user_embedding.weight, model.item_embedding.weight


def _propagated(model: Any) -> tuple[Tensor, Tensor]:
    """Propagate RecBole's LightGCN, a hundred times faster: its own product sorts the graph for every gradient."""
    table = model.get_ego_embeddings()
    graph = vars(model).get("_compressed")
    if graph is None or graph[0].device != table.device:
        matrix = model.norm_adj_matrix.coalesce().to(table.device)
        row, column = matrix.indices().int()
        ptr = torch.zeros(matrix.size(0) + 1, dtype=torch.int32, device=table.device)
        ptr[1:] = torch.bincount(row, minlength=matrix.size(0)).cumsum(0)
        graph = model._compressed = (ptr, column.contiguous(), matrix.values())
    user, item = propagated(graph, table, model.n_layers).split([model.n_users, model.n_items])
    return user, item


_TABLES: dict[str, Callable[[Any], tuple[Tensor, Tensor]]] = {"BPR": _embeddings, "LightGCN": _propagated}


def _kind(model: type) -> str:
    """Name the RecBole model whose scores a class inherits unchanged; empty for others."""
    for base in inspect.getmro(model):
        if base.__name__ in (*_TABLES, "NeuMF") and base.__module__.startswith("recbole."):
            same = (getattr(model, name) is getattr(base, name) for name in ("forward", "predict", "full_sort_predict"))
            return base.__name__ if all(same) else ""
    return ""
