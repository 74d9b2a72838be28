"""A graph whose nodes have a second kind of input, and models of one and of both."""

from __future__ import annotations

import torch
from torch import nn

from tests.core.models import CLASSES, FEATURES, graph


class Net(nn.Module):
    """Two layers."""

    def __init__(self, width, hidden, seed):
        super().__init__()
        torch.manual_seed(seed)
        self.first, self.last = nn.Linear(width, hidden), nn.Linear(hidden, CLASSES)


class OfBoth(Net):
    def forward(self, x, modality):
        return self.last(self.first(torch.cat([x, modality], dim=1)).relu())


class OfOne(Net):
    def forward(self, x):
        return self.last(self.first(x).relu())


def scene():
    data = graph()
    data.modality = torch.randn(30, 4, generator=torch.Generator().manual_seed(1))
    return data, OfOne(FEATURES, 6, 1), OfBoth(FEATURES + 4, 8, 2)
