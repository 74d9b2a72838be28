"""A small seeded task with few labels, and what the regimes ask of models on it."""

from __future__ import annotations

import sys
from functools import partial
from statistics import fmean, pstdev

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import MLP


def blobs(
    seed: int, *, rows: int = 400, classes: int = 4, width: int = 16, labels: int = 5, spread: float = 1.0
) -> Data:
    """Rows about a centre each class, ``labels`` of each class labelled, a quarter to validate, the rest to test."""
    generator = torch.Generator().manual_seed(seed)
    draw = partial(torch.randn, generator=generator)
    y = torch.arange(rows) % classes
    x = draw(classes, width)[y] + spread * draw(rows, width)
    place = torch.arange(rows)
    train = place < labels * classes
    val = ~train & (place // classes % 4 == 0)
    return Data(x=x, y=y, train_mask=train, val_mask=val, test_mask=~train & ~val)


def net(*widths: int, seed: int = 0, dropout: float = 0.0) -> MLP:
    """A multilayer perceptron without norm, its first weights from ``seed``."""
    torch.manual_seed(seed)
    return MLP(list(widths), norm=None, dropout=dropout)


def accuracy(model: nn.Module, data: Data, mask: str | Tensor = "test_mask") -> float:
    """Share of rows of ``mask`` that the model has right, in %."""
    rows = data[mask] if isinstance(mask, str) else mask
    with torch.no_grad():
        right = model.eval()(data.x).argmax(dim=1) == data.y
    return 100 * float(right[rows].float().mean())


def mean_of(measure, seeds: int, offset: int) -> float:
    """Mean of ``measure(seed)`` over ``seeds`` seeds, printed with their spread; offsets share none."""
    found = [float(measure(seeds * offset + number)) for number in range(seeds)]
    sys.stdout.write(f"{fmean(found):.2f} on average of {seeds} seeds, {pstdev(found):.2f} apart\n")
    return fmean(found)
