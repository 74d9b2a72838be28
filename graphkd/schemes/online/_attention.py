"""Attention of peers to each other's hidden features."""

import torch
from torch import Tensor

from graphkd.kernels.operators import accumulation_dtype


def peer_scores(query: Tensor, key: Tensor) -> Tensor:
    """Compute inner products of every peer's query with every peer's key, by row: (M, N, d), (M, N, d) -> (N, M, M).

    Computed in float32 at least: with features of magnitude 10 and more they overflow half precision.
    """
    wide = accumulation_dtype(query)
    with torch.autocast(query.device.type, enabled=False):
        return torch.einsum("ind,jnd->nij", query.to(wide), key.to(wide))
