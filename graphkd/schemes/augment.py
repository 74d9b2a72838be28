"""Batches that are changed anew whenever they are drawn, for noisy students and for contrasts of views."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkd.core.batches import Mapped, changed, with_ids
from graphkd.core.by_name import node_types
from graphkd.core.cached import Cached
from graphkd.core.csr import weigh_columns
from graphkd.core.ensemble import Ensemble
from graphkd.core.teachers import Frozen
from graphkd.core.view import Batch, names

Change = Callable[[Any], Any]


def _check_rate(rate: float) -> float:
    if not 0 <= rate < 1:
        raise ValueError(f"'rate' must be at least 0 and below 1, got {rate}")
    return rate


def drop_edges(batch: Batch, rate: float = 0.2) -> Any:
    """Drop each edge independently with probability ``rate``. Rong et al., ICLR 2020, arXiv:1907.10903.

    Entries with one row per edge ("edge_weight", "edge_attr" ...) lose the same rows. In heterogeneous data edges of
    every type are dropped. Returns a changed copy. Raises ValueError for a batch without ``edge_index``, and for a
    ``rate`` outside [0, 1).
    """
    if kinds := getattr(batch, "edge_types", None):
        return _by_type(batch, kinds, partial(drop_edges, rate=rate))
    if "edge_index" not in batch:
        raise ValueError(f"a batch needs 'edge_index' for its edges to be dropped, it has {names(batch)}")
    edges: Tensor = batch["edge_index"]
    kept = torch.rand(edges.size(1), device=edges.device) >= _check_rate(rate)
    others = [name for name in names(batch) or () if name.startswith("edge_") and name != "edge_index"]
    rows = {name: batch[name] for name in others if isinstance(batch[name], Tensor) and batch[name].dim()}
    parts = {name: entry[kept] for name, entry in rows.items() if entry.size(0) == kept.numel()}
    return changed(batch, edge_index=edges[:, kept], **parts)


def mask_features(batch: Batch, rate: float = 0.2) -> Any:
    """Set each column of ``x`` to 0 with probability ``rate``. Zhu et al., 2020, arXiv:2006.04131.

    In heterogeneous data columns are drawn for each node type; an ``x`` at the top level is masked as that of its type.
    Returns a changed copy. Raises ValueError for a ``rate`` outside [0, 1).
    """
    if kinds := node_types(batch):
        graph: Any = batch
        other = _by_type(batch, [kind for kind in kinds if "x" in graph[kind]], partial(mask_features, rate=rate))
        own = [kind for kind in kinds if graph._global_store.get("x") is graph[kind].get("x")]
        return changed(other, x=other[own[0]].x) if own and "x" in graph._global_store else other
    x: Tensor = batch["x"]
    kept = (torch.rand(x.size(1), device=x.device) >= _check_rate(rate)).to(x.dtype)
    return changed(batch, x=weigh_columns(x, kept))


def _by_type(batch: Any, kinds: Iterable[Any], change: Change) -> Any:
    """Change each of some types of heterogeneous data as if it were a homogeneous graph."""
    other = changed(batch)
    for kind in kinds:
        for name, value in change(Data(**batch[kind].to_dict())).to_dict().items():
            other[kind][name] = value
    return other


def drop_edges_and_features(batch: Batch, rate: float = 0.2) -> Any:
    """Drop edges and mask features, both at ``rate``; in a batch without edges mask features alone."""
    return mask_features(drop_edges(batch, rate) if "edge_index" in batch else batch, rate)


def noise_of(noise: Change | None, rate: float) -> Change:
    """Return the given change, by default ``drop_edges_and_features`` at a rate."""
    return noise or partial(drop_edges_and_features, rate=_check_rate(rate))


class Changed(Mapped):
    """``data`` (a batch, or an iterable of batches) for ``fit``, each batch changed anew when it is drawn.

    change: batch -> changed batch with the same rows, such as ``drop_edges``. Each batch gets ``augmented=True`` and,
    if it has no ``n_id``, its row numbers, so that a ``Cached`` teacher answers about the unchanged graph while the
    student sees the changed one. With a loader, store the teacher's answers as an entry of the batch and read them by
    ``told``.
    """

    def __init__(self, data: Batch | Iterable[Batch], change: Change) -> None:
        super().__init__(data, lambda batch: changed(with_ids(change(batch)), augmented=True))


def told(entry: str) -> Frozen:
    """Make a teacher that reads its logits from the batch entry of this name."""
    return Frozen(nn.Identity(), call=lambda _, batch: batch[entry])


def asked_anew(teacher: Frozen) -> Frozen:
    """Make an uncached version of a teacher, which is evaluated on every batch as given, changed or not."""
    if isinstance(teacher, Ensemble):
        members = [asked_anew(member) for member in teacher.members]
        return Ensemble(members, teacher.combine, weights=teacher.weights, taps=teacher.taps)
    return Frozen(teacher.model, call=teacher.call) if isinstance(teacher, Cached) else teacher
