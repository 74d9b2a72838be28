"""Splits of a graph's nodes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import Data


def hold_out(data: Data, *, share: float = 0.2, seed: int = 0) -> tuple[Data, Tensor]:
    """Split a graph for the inductive setting: the part that training sees, and a mask of the held-out test nodes.

    ``share`` of the test nodes and their edges are removed, drawn by a generator with ``seed``; returns the observed
    graph (its masks and labels cut accordingly) and a mask (N,) over the nodes of ``data``.
    """
    if not 0 < share < 1:
        raise ValueError(f"'share' must be in (0, 1), got {share}")
    test = data.test_mask.nonzero().squeeze(1)
    order = torch.randperm(test.size(0), generator=torch.Generator().manual_seed(seed)).to(test.device)
    held = torch.zeros_like(data.test_mask)
    held[test[order[: int(test.size(0) * share)]]] = True
    return data.subgraph(~held), held
