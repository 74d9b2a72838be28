"""Products of channels over the nodes of a graph."""

import torch
from torch import Tensor

from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_matrix


def channel_products(first: Tensor, second: Tensor) -> Tensor:
    """Inner products of all pairs of channels: (..., N, m), (..., N, n) -> (..., m, n), at full precision."""
    for name, x in (("first", first), ("second", second)):
        check_matrix(name, x)
    wide = accumulation_dtype(first)
    with torch.autocast(first.device.type, enabled=False):
        return first.to(wide).transpose(-1, -2) @ second.to(wide)
