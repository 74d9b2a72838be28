"""Splits by shares of the labelled nodes, at random or by whole groups, with new nodes that training does not read."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

__all__ = ["Shares", "group_shares", "random_shares", "without_single_groups"]

TRAIN, VAL, NEW = 0.1, 0.1, 0.2  # of the labelled nodes, and of the test nodes


class Shares(NamedTuple):
    """Masks (N,) of numpy; `new` are test nodes that the inductive setting keeps from training."""

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray
    new: np.ndarray

    def masks(self) -> dict[str, Tensor]:
        """Return the parts as `train_mask`, `val_mask`, `test_mask` and `new_mask`, each (N,) bool."""
        return {f"{name}_mask": torch.from_numpy(part) for name, part in self._asdict().items()}


def random_shares(labelled: np.ndarray, seed: int) -> Shares:
    """Split the labelled nodes: a tenth to train, a tenth to validate, the rest to test, of which a fifth is new.

    Args:
        labelled: (N,) bool.
        seed: of the permutation of nodes.
    """
    ids = np.flatnonzero(labelled)
    ids = ids[np.random.RandomState(seed).permutation(len(ids))]  # the legacy generator's stream defines the split
    a, b = int(TRAIN * len(ids)), int((TRAIN + VAL) * len(ids))
    c = b + round((1 - NEW) * (len(ids) - b))
    return Shares(*(_mask(part, len(labelled)) for part in (ids[:a], ids[a:b], ids[b:], ids[c:])))


def group_shares(labelled: np.ndarray, group: np.ndarray, seed: int) -> Shares:
    """Split by the same shares of whole groups, so that near-copies are never in two parts.

    Args:
        labelled: (N,) bool.
        group: (N,) numbers of groups from 0.
        seed: of the order of groups.
    """
    count = int(group.max()) + 1
    rank = np.empty(count, np.int64)
    rank[np.random.RandomState(seed).permutation(count)] = np.arange(count)
    place, held = rank[group] / count, TRAIN + VAL
    bounds = ((0, TRAIN), (TRAIN, held), (held, 1), (held + (1 - NEW) * (1 - held), 1))
    return Shares(*(labelled & (place >= low) & (place < high) for low, high in bounds))


def without_single_groups(y: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Return class ids, -1 for classes of a single group, which could be in one part only."""
    y = y.astype(np.int64)
    alone = [label for label in range(int(y.max()) + 1) if len(np.unique(group[y == label])) < 2]
    return np.where(np.isin(y, alone), -1, y)


def _mask(ids: np.ndarray, rows: int) -> np.ndarray:
    found = np.zeros(rows, bool)
    found[ids] = True
    return found
