"""Links of one type of heterogeneous graphs: their pairs at the top level, and the rows of their two ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from graphkd.core.adjacency import edge_index_of
from graphkd.core.batches import changed
from graphkd.core.by_name import node_types

EdgeType = tuple[str, str, str]
_OF_PAIRS = ("edge_label_index", "edge_label", "ranking_negatives")


def typed_links(batch: Any, edge_type: EdgeType | None) -> Any:
    """Copy heterogeneous data with the pairs of one type of edges moved to the top level.

    Where both ends are of one type, its features are copied there too, as ``x``, for models that read features alone.
    Other data are returned unchanged. Raises ValueError where the data have no such type.
    """
    if not node_types(batch):
        if edge_type is not None:
            raise ValueError(f"'edge_type' is of heterogeneous data, these have one type of edges: got {edge_type!r}")
        return batch
    known = [kind for kind in batch.edge_types if not kind[1].startswith("rev_")]
    if edge_type is None or tuple(edge_type) not in batch.edge_types:
        raise ValueError(
            f"heterogeneous data need the type of edges that is predicted, of {known}: give "
            f"task=LinkPrediction(edge_type={known[0] if known else ('user', 'rates', 'film')!r}), got {edge_type!r}"
        )
    own, top = batch[edge_type], batch._global_store
    entries = {name: own[name] for name in _OF_PAIRS if name in own and name not in top}
    source, _, target = edge_type
    if source == target and "x" in batch[source] and "x" not in top:
        entries["x"] = batch[source].x
    other = changed(batch, **entries)
    for kind in other.edge_types:
        for name in _OF_PAIRS:
            if name in other[kind]:  # of the wrong rank for models that would get it by type
                del other[kind][name]
    return other


def has(batch: Any, name: str) -> bool:
    """Tell whether a batch has an entry; of heterogeneous data, whether the top level has it."""
    return name in (batch._global_store if node_types(batch) else batch)


def message_edges(batch: Any, edge_type: EdgeType | None) -> Tensor:
    """Return the edges that messages pass along, of the given type if there are types, (2, E)."""
    store = batch if edge_type is None else batch[edge_type]
    return edge_index_of(store["edge_index"] if "edge_index" in store else store["adj_t"])


def end_rows(view: Mapping[str, Any], edge_type: EdgeType | None) -> tuple[Tensor, Tensor] | None:
    """Return the rows of sources and of targets in a view, from ``logits`` or by node type; None where it has neither.

    Raises ValueError where ``edge_type`` is given and the rows of one of its ends are missing.
    """
    shown = view.get("logits")
    if edge_type is None:
        return None if shown is None else (shown, shown)
    source, _, target = edge_type
    if source in view and target in view:
        return view[source], view[target]
    if shown is None:
        raise ValueError(
            f"a model must show rows of {source!r} and of {target!r}, whose links are predicted, it shows "
            f"{sorted(view)}: answer them by type, or take 'edge_label_index' and answer (M,)"
        )
    if source != target:
        raise ValueError(
            f"links join {source!r} and {target!r}, the model answers {tuple(shown.shape)} for one of them: answer "
            "rows by type, {type: (n, d)}, or take 'edge_label_index' and answer (M,)"
        )
    return shown, shown


def draw_ends(sizes: tuple[int, int], count: int, device: torch.device, *, one: bool) -> Tensor:
    """Draw pairs of ends uniformly, (2, count); ``one``: both ends are of one type."""
    if one:
        return torch.randint(sizes[0], (2, count), device=device)
    return torch.stack([torch.randint(size, (count,), device=device) for size in sizes])
