"""Random splits with the same number of training and of validation nodes in every class."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

__all__ = ["Split", "per_class_split"]


class Split(NamedTuple):
    """Node ids, int64, of a split that gives every node to exactly one part."""

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray

    def masks(self) -> dict[str, Tensor]:
        """Return the three parts as `train_mask`, `val_mask` and `test_mask`, each (N,) bool."""
        masks = {}
        for part, ids in self._asdict().items():
            mask = torch.zeros(sum(map(len, self)), dtype=torch.bool)
            mask[torch.from_numpy(ids)] = True
            masks[f"{part}_mask"] = mask
        return masks


def per_class_split(labels: np.ndarray, train: int, val: int, seed: int) -> Split:
    """Draw `train` and then `val` nodes of every class; all others are test nodes.

    The order of the draws is that of CPF (Yang et al., "Extract the Knowledge of Graph Neural Networks and Go
    Beyond it", 2021), so its splits, which GLNN and NOSMOG use too, are reproduced exactly.

    Args:
        labels: (N,) integers.
        train: training nodes per class.
        val: validation nodes per class.
        seed: of the generator of all draws.

    Returns:
        train and val ordered by class, then by draw; test ascending.

    Raises:
        ValueError: a number is negative, or a class has too few nodes.
    """
    if train < 0 or val < 0:
        raise ValueError(f"train and val must not be negative, got {train} and {val}")
    classes, sizes = np.unique(labels, return_counts=True)
    for label, size in zip(classes, sizes, strict=True):
        if size < train + val:
            raise ValueError(f"class {label} must have at least {train} + {val} nodes to split, got {size}")
    random = np.random.RandomState(seed)  # the legacy generator: its stream is what defines the split
    groups = np.split(np.argsort(labels, kind="stable"), np.cumsum(sizes)[:-1])
    train_ids = [random.choice(ids, train, replace=False) for ids in groups]
    rest = [np.setdiff1d(ids, drawn) for ids, drawn in zip(groups, train_ids, strict=True)]
    val_ids = [random.choice(ids, val, replace=False) for ids in rest]
    chosen = np.concatenate(train_ids + val_ids)
    test_ids = np.setdiff1d(np.arange(len(labels)), chosen)
    return Split(np.concatenate(train_ids), np.concatenate(val_ids), test_ids)
