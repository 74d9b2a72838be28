"""TSCL where its paper has it: tasks of which few have anything left to learn."""

from __future__ import annotations

import torch

from tests.schemes.regimes.scene import mean_of
from tests.schemes.regimes.teachers.scene import perceptron, regions, score, trained

METHODS = ("tscl",)


def test_the_bandit_gives_a_short_training_to_what_is_left_to_learn(seed_offset):
    """Five of six tasks are a fifth of one class each, and soon known; the sixth is all the others."""

    def gain(epsilon: float) -> float:
        def of(seed: int) -> float:
            data = regions(seed)
            teacher = trained(perceptron(32, seed), data, ~data.test_mask, seed=seed)
            easy = (data.y == 0) & (data.region == 0)
            parts = torch.where(easy, torch.arange(540) % 5, 5)
            options = {"parts": parts, "epochs": 40}
            found = score("tscl", data, teacher, seed, epsilon=epsilon, **options)
            return found - score("tscl", data, teacher, seed, epsilon=1.0, **options)

        return mean_of(of, 2, seed_offset)

    assert gain(0.1) > 3
    assert not gain(1.0) > 3  # a task at random
