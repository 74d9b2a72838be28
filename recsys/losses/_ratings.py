"""Common parts of KDCRec's losses.

Ratings are -1 or 1, 0 is unobserved. An autoencoder shows rows of all items, (B, I); a matrix factorisation shows the
pairs of its batch, (N,): the formulas are the same. See ``recsys.models.ratings`` for both, ``recsys.data.ratings`` for
batches.
"""

from __future__ import annotations

from torch import Tensor


def mean(values: Tensor) -> Tensor:
    return values.sum() / max(values.numel(), 1)


def check_shapes(**tensors: Tensor) -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if len(set(shapes.values())) > 1:
        raise ValueError(f"{sorted(shapes)} must have one shape, got {shapes}")
