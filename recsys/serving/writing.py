"""Write the folder of ``recsys.serve.export``: tables, a card and a graph."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

import graphkd
from graphkd.core.distilled import Distilled
from graphkd.core.files import replacing
from recsys.data.interactions import Interactions, Split
from recsys.models.base import Recommender
from recsys.models.int8 import Int8Tables
from recsys.models.tables import Tables, finite_tables, tables_of
from recsys.serving.export import export
from recsys.serving.quality import recall_of


class _Served(NamedTuple):
    """Tables, the pairs that users have, and an object with the original ids."""

    tables: Tables
    seen: Interactions | None
    tokens: Any


def written(
    given: Any,
    folder: Path,
    data: Any,
    *,
    seen: Interactions | None,
    int8: bool,
    onnx: bool,
    k: int,
    card: Mapping[str, Any] | None,
    names: tuple[str, str, str],
) -> dict[str, Any]:
    """Write the folder and return the card. names: of the files of tables, of the card and of the graph."""
    model = given.model if isinstance(given, Distilled) else given
    sequential = not isinstance(model, Recommender)
    served = _of_split(model, data, seen) if isinstance(model, Recommender) else _of_sequences(model, data, seen)
    finite_tables(served.tables)
    told = {**(given.card if isinstance(given, Distilled) else {}), **(card or {}), **_about(model, served)}
    tables = served.tables
    if int8:
        tables = Int8Tables.of(served.tables)
        told["int8"] = recall_of(tables, served.tables, served.seen, k)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / names[2]).unlink(missing_ok=True)  # it may be another model's
    if onnx:
        from recsys.serving.graphs import to_onnx

        told["graph"] = to_onnx(model if sequential else served.tables, folder / names[2], k)
        told["graph"] |= {"max_length": model.max_length} if sequential else {}
    export(tables, folder / names[0], served.tokens, seen=served.seen, card=told)
    with replacing(folder / names[1]) as file:
        file.write(json.dumps(told, indent=2, default=str).encode())
    return told


def _of_split(model: Recommender, data: Any, seen: Interactions | None) -> _Served:
    split = getattr(data, "split", data)
    if not isinstance(split, Split | None):
        raise TypeError(f"'data' must be a recsys.Split, or what has one as 'split', got {type(data).__name__}")
    if seen is None and split is not None:
        seen = split.train.union(split.valid, split.test)
    tables: Tables
    if isinstance(model, Int8Tables):
        tables = Int8Tables(model.user, model.user_scale, model.item, model.item_scale)
    else:
        tables = tables_of(model)
    tables.padding = model.padding or (seen is not None and seen.padding)  # a model of ours knows nothing of RecBole's
    return _Served(tables, seen, split)


def _of_sequences(model: Any, data: Any, seen: Interactions | None) -> _Served:
    from recsys.data.sequences import Sequences
    from recsys.models.sequential import SequentialRecommender
    from recsys.serving.states import latest_tables, taken

    if not isinstance(model, SequentialRecommender):
        raise TypeError(
            "'model' must be a recommender with tables, a recsys.models.SequentialRecommender, or what recsys.distil "
            f"gave of one, got {type(model).__name__}"
        )
    sequences = getattr(data, "sequences", data)
    if not isinstance(sequences, Sequences):
        raise TypeError(
            f"'data' of a sequential recommender must be Sequences, or what has some as 'sequences', got "
            f"{type(data).__name__}"
        )
    nobody = torch.zeros(0, dtype=torch.long)
    sizes = sequences.num_users, sequences.num_items
    none = Interactions.from_pairs(nobody, nobody, *sizes, padding=True)
    names = Split(none, none, none, sequences.user_tokens, sequences.item_tokens)
    return _Served(latest_tables(model, sequences), taken(sequences) if seen is None else seen, names)


def _about(model: Any, served: _Served) -> dict[str, Any]:
    tables = served.tables
    return {
        "served": {
            "kind": type(model).__name__,
            "sequential": not isinstance(model, Recommender),
            "users": tables.num_users - int(tables.padding),
            "items": tables.num_items - int(tables.padding),
            "width": tables.user.size(1),
            "seen_pairs": None if served.seen is None else len(served.seen),
            "graphkd": graphkd.__version__,
            "torch": str(torch.__version__),
        }
    }
