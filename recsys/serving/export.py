"""A student's tables in a file, with the original ids of their rows and with what users have already."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recsys.data import files
from recsys.data.interactions import Interactions, Split
from recsys.models.base import Recommender, check_model
from recsys.models.tables import Tables, finite_tables, tables_of
from recsys.retrieve import Retriever

_TOKENS = ("user_tokens", "item_tokens")


@dataclass(frozen=True)
class Exported:
    """What ``export`` wrote: the tables, and where they were known the original ids of their rows and seen pairs."""

    tables: Tables
    user_tokens: tuple[str, ...] | None = None
    item_tokens: tuple[str, ...] | None = None
    seen: Interactions | None = None

    def retriever(self, **blocks: int) -> Retriever:
        """Make a ``Retriever`` of the tables that leaves out what users have seen, and the padding item."""
        return Retriever(self.tables, self.seen, **blocks)


def export(
    model: Recommender, path: str | Path, split: Split | Any = None, *, seen: Interactions | None = None
) -> None:
    """Write a model's tables to a safetensors file, atomically: ``user`` (U, d), ``item`` (I, d), and what is served.

    split: a ``Split``, or what has one as ``split``; its original ids go along. seen: pairs that are not recommended
    again, by default the training pairs of ``split``; for a service all that users have,
    ``split.train.union(split.valid, split.test)``. Experts, gates and graphs stay behind: inner products of the tables
    are the model's scores. TypeError for a model without tables, ValueError for tables that are not finite.
    """
    split = getattr(split, "split", split)
    if not isinstance(split, Split | None):
        raise TypeError(f"'split' must be a recsys.Split, got {type(split).__name__}")
    seen = split.train if seen is None and split is not None else seen
    if seen is not None:
        check_model(model, seen)
    tables = finite_tables(tables_of(model))
    padding = tables.padding or (seen is not None and seen.padding)
    tensors, texts = dict(tables.state_dict()), {"padding": json.dumps(padding)}
    if seen is not None:
        pairs, sizes = files.packed(seen, "seen")
        tensors, texts = {**tensors, **pairs}, {**texts, **sizes}
    for name, size in zip(_TOKENS, (model.num_users, model.num_items), strict=True):
        known = getattr(split, name, None)
        if known is not None and len(known) != size:
            raise ValueError(f"'split' must name {size} rows in its {name}, got {len(known)}")
        if known is not None:
            texts[name] = json.dumps(known)
    files.write(path, tensors, texts)


def load_export(path: str | Path) -> Exported:
    """Read what ``export`` wrote; ValueError if the file is damaged or does not hold the two tables.

    Example::

        best = load_export("student.safetensors").retriever().users([3, 7], 10).items
    """
    tensors, texts = files.read(path)
    missing = sorted({"user", "item"} - set(tensors))
    if missing:
        raise ValueError(f"{str(path)!r} must hold the tables 'user' and 'item', but lacks {missing}")
    tables = Tables(tensors["user"], tensors["item"], padding=json.loads(texts.get("padding", "false")))
    users, items = (tuple(json.loads(texts[name])) if name in texts else None for name in _TOKENS)
    seen = files.unpacked(tensors, texts, "seen") if "seen" in texts else None
    return Exported(finite_tables(tables), users, items, seen)
