"""Scikit-learn's handwritten digits as a nearest-neighbour graph; it needs no download."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.utils import to_undirected

from datasets.splits import per_class_split

__all__ = ["digits", "nearest", "turned"]


def digits(seed: int = 0) -> Data:
    """Load 1,797 images of digits, each joined to its 10 nearest: 20 training, 30 validation nodes per class.

    From `sklearn.datasets.load_digits` (Alpaydin and Kaynak, 1998); pixels are scaled to [0, 1].

    Args:
        seed: of the split.

    Shapes:
        1,797 nodes, 64 features, 10 classes.
    """
    from sklearn.datasets import load_digits  # type: ignore[import-untyped]  # only this dataset needs it

    pixels, labels = load_digits(return_X_y=True)
    neighbours = torch.from_numpy(nearest(pixels, 10))
    targets = torch.arange(len(pixels)).repeat_interleave(10)
    return Data(
        x=torch.from_numpy(pixels / 16).float(),
        edge_index=to_undirected(torch.stack([neighbours.flatten(), targets])),
        y=torch.from_numpy(labels).long(),
        **per_class_split(labels, train=20, val=30, seed=seed).masks(),
    )


def nearest(points: np.ndarray, k: int) -> np.ndarray:
    """Find the k nearest other points of each point by Euclidean distance; of equally near ones the first.

    Compares all pairs, so for small sets only. Distances of integers, such as pixels, are exact, so the result is the
    same on every machine.

    Args:
        points: (N, F) numbers.
        k: neighbours per point, below N.

    Returns:
        (N, k) int64, the nearest first.

    Raises:
        ValueError: there are fewer than k other points.
    """
    if not 0 <= k < len(points):
        raise ValueError(f"k must be between 0 and {len(points) - 1} for {len(points)} points, got {k}")
    squares = (points**2).sum(axis=1)
    distances = squares[:, None] - 2 * points @ points.T + squares[None, :]
    np.fill_diagonal(distances, np.inf)
    return distances.argsort(axis=1, kind="stable")[:, :k]


def turned(pixels: Tensor, degrees: float) -> Tensor:
    """Rotate images about their centre with bilinear interpolation; outside pixels count as 0.

    Args:
        pixels: (N, 64), rows of 8 by 8.
        degrees: counter-clockwise.

    Returns:
        (N, 64).
    """
    cos, sin = (way(math.radians(degrees)) for way in (math.cos, math.sin))
    back = torch.tensor([[cos, -sin, 0.0], [sin, cos, 0.0]]).expand(len(pixels), 2, 3)
    images = pixels.view(-1, 1, 8, 8)
    grid = F.affine_grid(back, [*images.shape], align_corners=False)
    return F.grid_sample(images, grid, align_corners=False).flatten(1)
