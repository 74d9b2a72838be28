"""Rows with a number each, and a net of numbers."""

from __future__ import annotations

import torch
from torch import nn

import graphkd
from graphkd.tasks import Regression


class Net(nn.Module):
    def __init__(self, seed, width=8):
        super().__init__()
        torch.manual_seed(seed)
        self.first, self.last = nn.Linear(4, width), nn.Linear(width, 1)

    def forward(self, x):
        return self.last(self.first(x).relu())


def rows(seed=0, count=60, **more):
    x = torch.randn(count, 4, generator=torch.Generator().manual_seed(seed))
    return {"x": x, "y": x[:, :1] - x[:, 1:2].abs(), **more}


def distilled(name, student, teacher, data, **settings):
    """The result of a method of regression."""
    options = {"hidden": "first", "progress": False, **settings}
    return graphkd.distil(name, student, teacher, data, task=Regression(), **options)
