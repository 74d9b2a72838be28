"""Phased pseudo-labels: few labels, and a teacher whose entropy says which of the other rows are easy."""

from __future__ import annotations

import torch
from torch import nn

from tests.schemes.regimes.scene import mean_of
from tests.schemes.regimes.semi.scene import gain

METHODS = ("phased_labels",)


class Ignorant(nn.Module):
    """Answers every class alike: of the largest entropy, which weighs nothing."""

    def forward(self, x):
        return torch.zeros(len(x), 4)


def gained(seed: int, knows: bool) -> float:
    return gain("phased_labels", seed, None if knows else Ignorant(), epochs=25)


def test_easy_rows_teach_before_hard_ones(seed_offset):
    def holds(knows: bool) -> bool:
        return mean_of(lambda seed: gained(seed, knows), 4, seed_offset) > 4.5

    assert holds(True)
    assert not holds(False)
