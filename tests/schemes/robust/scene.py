"""Rows of two classes, whose strong feature is easily changed, and a linear model."""

from __future__ import annotations

import torch
from torch import nn


def blobs():
    """Two classes told apart by a strong feature (large gaps) and by many weak ones (small gaps, all right)."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(400) % 2
    sign = (2.0 * y - 1)[:, None]
    noisy = torch.rand(400, 1, generator=generator) < 0.1
    strong = torch.where(noisy, -sign, sign)
    weak = 0.3 * sign.expand(-1, 40) + 0.1 * torch.randn(400, 40, generator=generator)
    rows = torch.arange(400)
    return {"x": torch.cat([strong, weak], 1), "y": y, "train_mask": rows < 200, "test_mask": rows >= 200}


class Linear(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(41, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)
