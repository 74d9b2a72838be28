"""Products of channels over the nodes of a graph."""

import torch
from torch import Tensor

from graphkd.kernels.operators import accumulation_dtype


def channel_products(first: Tensor, second: Tensor) -> Tensor:
    """Inner products of all pairs of channels: (..., N, m), (..., N, n) -> (..., m, n), at full precision."""
    wide = accumulation_dtype(first)
    with torch.autocast(first.device.type, enabled=False):
        return first.to(wide).transpose(-1, -2) @ second.to(wide)
