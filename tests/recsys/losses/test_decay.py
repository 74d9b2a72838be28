"""The half sum of squares."""

from __future__ import annotations

import torch

from recsys.losses import Decay
from recsys.losses.decay import half_squares


def test_half_squares_and_decay() -> None:
    parts = torch.tensor([[1.0, 2.0]]), torch.tensor([3.0])
    assert float(half_squares(*parts)) == 7.0
    assert float(Decay()(half_squares(*parts))) == 7.0
