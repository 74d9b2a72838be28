"""A student's tables in a file, with the original ids of their rows."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from recsys.data.interactions import Split
from recsys.models.base import Recommender
from recsys.models.tables import Tables, tables_of


@dataclass(frozen=True)
class Exported:
    """What ``export`` wrote: the tables, and the original ids of their rows where they were known."""

    tables: Tables
    user_tokens: tuple[str, ...] | None = None
    item_tokens: tuple[str, ...] | None = None


def export(model: Recommender, path: str | Path, split: Split | None = None) -> None:
    """Write a model's tables to a safetensors file, atomically: ``user`` (U, d), ``item`` (I, d), and what is served.

    split: where the original ids come from. Experts, gates and graphs stay behind: inner products of the tables are the
    model's scores. TypeError for a model without tables.
    """
    from safetensors.torch import save_file

    tables, path = tables_of(model), Path(path)
    tensors = {name: table.contiguous().cpu() for name, table in tables.state_dict().items()}
    tokens = {} if split is None else {"user_tokens": split.user_tokens, "item_tokens": split.item_tokens}
    for name, size in (("user_tokens", model.num_users), ("item_tokens", model.num_items)):
        known = tokens.get(name)
        if known is not None and len(known) != size:
            raise ValueError(f"'split' must name {size} rows in its {name}, got {len(known)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        save_file(tensors, partial, {name: json.dumps(known) for name, known in tokens.items() if known is not None})
        Path(partial).replace(path)
    finally:
        Path(partial).unlink(missing_ok=True)


def load_export(path: str | Path) -> Exported:
    """Read what ``export`` wrote; ValueError if the file does not hold the two tables."""
    from safetensors import safe_open

    with safe_open(str(path), framework="pt") as file:
        missing = sorted({"user", "item"} - set(file.keys()))
        if missing:
            raise ValueError(f"{str(path)!r} must hold the tables 'user' and 'item', but lacks {missing}")
        tables = Tables(file.get_tensor("user"), file.get_tensor("item"))
        known = {name: tuple(json.loads(text)) for name, text in (file.metadata() or {}).items() if "_tokens" in name}
    return Exported(tables, known.get("user_tokens"), known.get("item_tokens"))
