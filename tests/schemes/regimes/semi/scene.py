"""Few labels, many other rows, and a teacher that had more labels: what a method gives beyond the student alone."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import MLP

import graphkd
from graphkd.core.batches import changed
from tests.schemes.regimes.scene import accuracy, blobs, net


def jittered(batch: Data) -> Data:
    """Rows a little beside where they are, drawn anew: what stands for changed images."""
    return changed(batch, x=batch["x"] + 0.5 * torch.randn_like(batch["x"]))


few_labels = partial(blobs, rows=400, labels=6, spread=1.4)


def student(seed: int) -> MLP:
    """A small one, with dropout."""
    return net(16, 64, 4, seed=seed, dropout=0.3)


def trained(method: str, seed: int, data: Data, teacher: Any = None, **settings: Any) -> Any:
    """A student of this seed, by a method."""
    options = {"epochs": 50, "seed": seed, "progress": False, **settings}
    return graphkd.distil(method, student(seed), teacher, data, **options).model


@cache
def alone(seed: int) -> float:
    """Accuracy of a student of the labels, in %."""
    return accuracy(trained("none", seed, few_labels(seed)), few_labels(seed))


def informed(seed: int) -> nn.Module:
    """A teacher with 60 labels of each class, of rows of its own."""
    return trained("none", seed + 500, few_labels(seed, rows=800, labels=60))


def gain(method: str, seed: int, teacher: nn.Module | None = None, **settings: Any) -> float:
    """What a method gives beyond the student alone, in % of test rows."""
    data = few_labels(seed)
    return accuracy(trained(method, seed, data, teacher or informed(seed), **settings), data) - alone(seed)
