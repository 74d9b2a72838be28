"""What peers are shown in these regimes: labels of which some are wrong, which a net alone learns by heart."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn
from torch_geometric.data import Data

import graphkd
from tests.schemes.regimes.scene import accuracy, blobs, net

LABELS, CLASSES, WIDTH, WRONG = 30, 4, 16, 0.4


def noisy(seed: int) -> tuple[Data, Data]:
    """Labelled rows, two in five of them with another class's label, and many rows to test on, with their own."""
    clean = blobs(seed, rows=2000, labels=LABELS, spread=1.2)
    clean.test_mask = ~clean.train_mask
    seen, draw = int(clean.train_mask.sum()), torch.Generator().manual_seed(seed + 1)
    wrong = torch.rand(seen, generator=draw) < WRONG
    other = (clean.y[:seen] + torch.randint(1, CLASSES, (seen,), generator=draw)) % CLASSES
    y = torch.where(wrong, other, clean.y[:seen])
    return Data(x=clean.x[:seen], y=y, train_mask=clean.train_mask[:seen]), clean


def learnt(method: str, seed: int, *, model: nn.Module | None = None, **settings: Any) -> float:
    """Accuracy in % of a net that was trained by a method on noisy labels, at the last epoch: none of them is clean."""
    data, test = noisy(seed)
    student = net(WIDTH, 64, CLASSES, seed=seed, dropout=0.5) if model is None else model
    adam = partial(torch.optim.Adam, lr=0.02)
    options = {"epochs": 50, "seed": seed, "optimizer": adam, "hidden": "lins.0", "progress": False}
    return accuracy(graphkd.distil(method, student, None, data, **{**options, **settings}).model, test)
