"""Common parts of KDCRec's losses.

Ratings are -1 or 1, unobserved entries are 0. Autoencoders output rows of all items, (B, I); matrix factorisations
output the pairs of a batch, (N,); the formulas are the same. ``recsys.models.ratings`` has both models,
``recsys.data.ratings`` their batches.
"""

from __future__ import annotations

from torch import Tensor


def mean(values: Tensor) -> Tensor:
    return values.sum() / max(values.numel(), 1)


def check_shapes(**tensors: Tensor) -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if len(set(shapes.values())) > 1:
        raise ValueError(f"{sorted(shapes)} must have one shape, got {shapes}")
