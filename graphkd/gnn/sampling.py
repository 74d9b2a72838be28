"""Sampling of edges without a compiled extension."""

from __future__ import annotations

import torch
from torch import Tensor


def sample_in_edges(
    edge_index: Tensor, fan_out: int, num_nodes: int, *, generator: torch.Generator | None = None
) -> Tensor:
    """At most ``fan_out`` edges into every node, uniformly without replacement: (2, E) -> (2, E')."""
    if fan_out < 1:
        raise ValueError(f"'fan_out' must be at least 1, got {fan_out}")
    order = torch.randperm(edge_index.size(1), device=edge_index.device, generator=generator)
    order = order[edge_index[1, order].argsort(stable=True)]
    target = edge_index[1, order]
    first = torch.searchsorted(target, torch.arange(num_nodes, device=target.device))
    rank = torch.arange(target.size(0), device=target.device) - first[target]
    return edge_index[:, order[rank < fan_out]]
