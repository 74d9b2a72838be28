"""Edges in PyG's sparse forms, read as ``edge_index``."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphkd.core.identity import Once

_once = Once()


def edge_index_of(edges: Any) -> Tensor:
    """Read edges as (2, E), sources first: from an ``EdgeIndex``, or an ``adj_t``, whose rows are targets.

    ``adj_t`` may be a sparse tensor of torch in any layout, or torch_sparse's. Repeated edges are kept. The result is
    cached per tensor and recomputed after the tensor was written to.
    """
    if type(edges) is Tensor and edges.layout == torch.strided:
        return edges
    if not isinstance(edges, Tensor):
        target, source, _ = edges.coo()
        return _once(source, "edge_index", lambda: torch.stack([source, target]))
    return _once(edges, "edge_index", lambda: _plain(edges))


def _plain(edges: Tensor) -> Tensor:
    if edges.layout != torch.strided:
        coo = edges.detach() if edges.layout == torch.sparse_coo else edges.detach().to_sparse_coo()
        return coo._indices().flip(0)
    return edges.as_tensor() if hasattr(edges, "as_tensor") else edges.as_subclass(Tensor)
