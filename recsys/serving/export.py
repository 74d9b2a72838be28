"""A student's tables in a file, with the original ids of their rows, the pairs that users have, and a card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from recsys.data import files
from recsys.data.interactions import Interactions, Split
from recsys.models.base import Recommender, check_model
from recsys.models.int8 import Int8Tables
from recsys.models.tables import Tables, finite_tables, tables_of
from recsys.retrieve import Retriever

_SCALES = ("user_scale", "item_scale")


@dataclass(frozen=True)
class Exported:
    """Contents of an export: the tables and, where known, the original ids of their rows and the seen pairs.

    card: properties of the model, as plain values.
    """

    tables: Tables
    user_tokens: tuple[str, ...] | None = None
    item_tokens: tuple[str, ...] | None = None
    seen: Interactions | None = None
    card: Mapping[str, Any] = field(default_factory=dict)

    def retriever(self, **blocks: int) -> Retriever:
        """Make a ``Retriever`` of the tables that leaves out seen pairs and padding; ``blocks``: its block sizes."""
        return Retriever(self.tables, self.seen, **blocks)


def export(
    model: Recommender,
    path: str | Path,
    split: Split | Any = None,
    *,
    seen: Interactions | None = None,
    card: Mapping[str, Any] | None = None,
) -> None:
    """Write a model's tables to a safetensors file, atomically: ``user`` (U, d), ``item`` (I, d), and what is served.

    split: a ``Split``, or an object with a ``split``; its original ids are included. seen: pairs that are not
    recommended again, by default the training pairs of ``split``; a service needs all pairs that users have,
    ``split.train.union(split.valid, split.test)``. card: plain values to include. Experts, gates and graphs are not
    written: inner products of the tables are the model's scores. ``Int8Tables`` stay one byte an entry. Raises
    TypeError for a model without tables, ValueError for tables that are not finite and for ids that do not fit.
    """
    split = getattr(split, "split", split)
    if not isinstance(split, Split | None):
        raise TypeError(f"'split' must be a recsys.Split, got {type(split).__name__}")
    seen = split.train if seen is None and split is not None else seen
    if seen is not None:
        check_model(model, seen)
    tables = finite_tables(model if isinstance(model, Int8Tables) else tables_of(model))
    padding = tables.padding or (seen is not None and seen.padding)
    tensors, texts = dict(tables.state_dict()), {"padding": json.dumps(padding), "card": _plain(card)}
    if seen is not None:
        bare = replace(seen, times=None, rows=None, user_tokens=None, item_tokens=None)
        pairs, sizes = files.packed(bare, "seen")
        tensors, texts = {**tensors, **pairs}, {**texts, **sizes}
    named = seen if split is None else split if split.user_tokens or split.item_tokens else split.train
    for name, size in zip(files.TOKENS, (model.num_users, model.num_items), strict=True):
        known = getattr(named, name, None)
        if known is not None and len(known) != size:
            raise ValueError(f"'split' must name {size} rows in its {name}, got {len(known)}")
    files.write(path, tensors, {**texts, **files.texts_of(named)})


def load_export(path: str | Path) -> Exported:
    """Read an export that ``export`` wrote; ValueError if the file is damaged or lacks one of the two tables.

    Example::

        best = load_export("student.safetensors").retriever().users([3, 7], 10).items
    """
    tensors, texts = files.read(path)
    missing = sorted({"user", "item"} - set(tensors))
    if missing:
        raise ValueError(f"{str(path)!r} must hold the tables 'user' and 'item', but lacks {missing}")
    tables = finite_tables(_tables(tensors, padding=json.loads(texts.get("padding", "false"))))
    users, items = files.tokens_in(texts, (tables.num_users, tables.num_items))
    seen = files.unpacked(tensors, texts, "seen") if "seen" in texts else None
    if seen is not None:
        check_model(tables, seen, str(path))
    return Exported(tables, users, items, seen, json.loads(texts.get("card", "{}")))


def _tables(tensors: Mapping[str, Tensor], padding: bool) -> Tables:
    user, item = tensors["user"], tensors["item"]
    if not set(_SCALES) <= set(tensors):
        return Tables(user, item, padding=padding)
    return Int8Tables(user, tensors["user_scale"], item, tensors["item_scale"], padding=padding)


def _plain(card: Mapping[str, Any] | None) -> str:
    try:
        return json.dumps(dict(card or {}))
    except (TypeError, ValueError) as error:
        raise TypeError(f"'card' must hold plain values alone, such as JSON has: {error}") from error
