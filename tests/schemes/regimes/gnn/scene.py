"""A graph whose edges tell the classes that features tell badly, and a teacher that reads both."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import GCN

import graphkd


def communities(
    seed: int,
    *,
    nodes: int = 300,
    classes: int = 4,
    width: int = 16,
    labels: int = 5,
    degree: int = 6,
    homophily: float = 0.85,
    spread: float = 2.5,
) -> Data:
    """Nodes about a centre each class, ``degree`` undirected edges each, of which a share stays within the class."""
    generator = torch.Generator().manual_seed(seed)
    draw, chance = partial(torch.randn, generator=generator), partial(torch.rand, generator=generator)
    place = torch.arange(nodes)
    y, turn = place % classes, place // classes
    source = place.repeat_interleave(degree // 2)
    steps = (chance(source.numel()) * (nodes // classes)).long() * classes  # to another node of the class
    other = (chance(source.numel()) * nodes).long()
    target = torch.where(chance(source.numel()) < homophily, (source + steps) % nodes, other)
    kept = source != target
    edges = torch.stack([source[kept], target[kept]])
    x = draw(classes, width)[y] + spread * draw(nodes, width)
    masks = {"train_mask": turn < labels, "val_mask": (turn >= labels) & (turn < 2 * labels)}
    return Data(x=x, y=y, edge_index=torch.cat([edges, edges.flip(0)], dim=1), test_mask=turn >= 2 * labels, **masks)


def gcn(data: Data, seed: int, *, hidden: int = 32) -> nn.Module:
    """A graph convolutional network of two layers, its first weights from ``seed``."""
    torch.manual_seed(seed)
    return GCN(data.num_features, hidden, 2, int(data.y.max()) + 1, dropout=0.5)


def teacher(data: Data, seed: int) -> nn.Module:
    """One that learnt the labels at hand."""
    options = {"epochs": 60, "seed": seed, "progress": False}
    return graphkd.distil("none", gcn(data, seed), None, data, **options).model


def right(result: graphkd.Distilled) -> float:
    """Accuracy on test nodes, in %."""
    return 100 * result.scores["test"]["accuracy"]
