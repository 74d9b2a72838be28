"""Scales of squared distances, which the losses of the instance relationship graph (IRG) share."""

from typing import Literal

import torch
from torch import Tensor

from graphkd.kernels import farthest_rows
from graphkd.kernels.norms import rescaled
from graphkd.kernels.operators import accumulation_dtype

Scale = Literal["max", "mean", "none"]

Reduction = Literal["mean", "rows", "sum"]

Layers = tuple[Tensor, ...]


def scale_free(x: Tensor, scale: Scale) -> Tensor:
    """Rescale rows so that their powers do not overflow; not for "none", because only a scale cancels the factor."""
    return x.to(accumulation_dtype(x)) if scale == "none" else rescaled(x, (0, 1))


def edge_scale(x: Tensor, scale: Scale = "max") -> Tensor:
    """Compute the largest squared distance of rows, the mean over all N^2 pairs, or 1: (N, d) -> scalar; never 0."""
    x = x.to(accumulation_dtype(x))
    if scale == "none" or x.size(0) == 0:
        return x.new_ones(())
    if scale == "max":
        found = x[farthest_rows(x)].diff(dim=0).square().sum()
    else:
        found = 2 * (x - x.mean(dim=0)).square().sum() / x.size(0)
    return torch.where(found > 0, found, 1)
