"""MUNGE where its paper has it: an ensemble that knows much, and few rows to learn it from."""

from __future__ import annotations

import torch
from torch_geometric.data import Data

from tests.schemes.regimes.scene import mean_of
from tests.schemes.regimes.teachers.scene import of_noise, regions, score

METHODS = ("munge",)


def test_made_up_rows_carry_more_of_an_ensemble_than_the_few_real_ones(seed_offset):
    """There are 27 rows in all."""

    def gain(copies: int) -> float:
        def of(seed: int) -> float:
            data = regions(seed)
            teachers = of_noise(seed, 0.0)
            few = Data(x=data.x[:27], y=data.y[:27], train_mask=torch.ones(27, dtype=torch.bool))
            plain = score("ensemble", data, teachers, seed, seen=few)
            return score("munge", data, teachers, seed, seen=few, copies=copies) - plain

        return mean_of(of, 2, seed_offset)

    assert gain(9) > 2
    assert not gain(0) > 2  # the ensemble's answers to the real rows alone
