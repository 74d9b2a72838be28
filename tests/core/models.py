"""A small graph and small models for the tests of the core."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import GCN

from graphkd import Loss

NODES, FEATURES, CLASSES = 30, 6, 3


def graph() -> Data:
    """A random graph with every fact the losses ask for."""
    generator = torch.Generator().manual_seed(0)
    mask = torch.arange(NODES) % 3
    return Data(
        x=torch.randn(NODES, FEATURES, generator=generator),
        edge_index=torch.randint(NODES, (2, 90), generator=generator),
        y=torch.randint(CLASSES, (NODES,), generator=generator),
        train_mask=mask == 0,
        val_mask=mask == 1,
        test_mask=mask == 2,
    )


def gcn(seed: int = 0, width: int = 8, dropout: float = 0.0) -> GCN:
    torch.manual_seed(seed)
    return GCN(FEATURES, width, 2, CLASSES, dropout=dropout)


class Labels(Loss):
    """A supervised loss, written as a user would."""

    rows = ("y",)

    def forward(self, student: Tensor, *, y: Tensor) -> Tensor:
        return F.cross_entropy(student, y)


class Match(Loss):
    """A loss with a teacher, a scale of its own, and a count of the teacher's digests."""

    on = "hidden"

    def __init__(self, **options) -> None:
        super().__init__(**options)
        self.scale = nn.Parameter(torch.ones(()))
        self.digests = 0

    def digest(self, teacher: Tensor) -> Tensor:
        self.digests += 1
        return teacher

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        return F.mse_loss(self.scale * student, teacher)
