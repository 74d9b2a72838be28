"""KDGAN where its paper has it: a trained teacher that has seen more, a student with few labels, and rows without."""

from __future__ import annotations

import torch

import graphkd
from tests.schemes.regimes.scene import accuracy, blobs, mean_of, net

METHODS = ("kdgan",)
SEEDS = 6


def test_the_student_learns_from_a_teacher_that_keeps_what_it_knows(seed_offset):
    def student(seed: int, settings: dict[str, float]) -> float:
        data = blobs(seed, rows=400, labels=3, spread=1.3)
        del data.val_mask  # the last epoch is kept
        data.test_mask = torch.arange(400) >= 200
        options = {"epochs": 60, "seed": seed, "progress": False}
        known = data.clone()
        known.train_mask = ~data.test_mask
        teacher = graphkd.distil("none", net(16, 64, 4, seed=seed + 1), None, known, **options).model
        alone = graphkd.distil("none", net(16, 16, 4, seed=seed), None, data, **options).model
        found = graphkd.distil("kdgan", net(16, 16, 4, seed=seed), teacher, data, **settings, **options).model
        return accuracy(found, data) - accuracy(alone, data)

    def holds(**settings: float) -> bool:
        """Whether a student gains 7 points by the game."""
        return mean_of(lambda seed: student(seed, settings), SEEDS, seed_offset) > 7

    assert holds()
    assert not holds(distil=0.0, adversarial=0.0)  # the players learn from labels alone
