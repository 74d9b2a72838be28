"""A teacher of all rows that are not tested, and a split in which every class is judged."""

from __future__ import annotations

import torch
from torch import nn
from torch_geometric.data import Data

import graphkd
from tests.schemes.regimes.scene import blobs, net


def rows(seed: int, *, classes: int = 6, **shape: float) -> Data:
    """Blobs of which a quarter of every class validates and a half is tested, on features of mean 0 and deviation 1."""
    data = blobs(seed, classes=classes, **shape)
    quarter = torch.arange(data.num_nodes) // classes % 4
    data.val_mask, data.test_mask = (~data.train_mask & part for part in (quarter == 0, quarter > 1))
    data.x = (data.x - data.x.mean(dim=0)) / data.x.std(dim=0)
    return data


def teacher(data: Data, seed: int, *, hidden: int = 64) -> nn.Module:
    """A model that learnt the labels of all rows that are not tested."""
    known = data.clone()
    known.train_mask = ~data.test_mask
    model = net(data.num_features, hidden, int(data.y.max()) + 1, seed=seed)
    return graphkd.distil("none", model, None, known, epochs=60, seed=seed, progress=False).model


def in_a_plane(data: Data, seed: int, width: int, *, spread: float = 0.0) -> Data:
    """Rows mapped linearly into a wider space, of which they fill few directions; ``spread``: of noise in all."""
    generator = torch.Generator().manual_seed(seed)
    across = torch.randn(data.num_features, width, generator=generator) / data.num_features**0.5
    data.x = data.x @ across + spread * torch.randn(data.num_nodes, width, generator=generator)
    return data
