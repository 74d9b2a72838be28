"""Adversarial training where its paper has it: an attack that knows the weights."""

from __future__ import annotations

import graphkd
from tests.schemes.regimes.robust.scene import EPSILON, WEAK, rows, withstands
from tests.schemes.regimes.scene import mean_of, net

METHODS = ("adversarial",)


def test_a_student_of_changed_features_withstands_an_attack(seed_offset):
    def gain(epsilon: float) -> float:
        def of(seed: int) -> float:
            data, student = rows(seed), net(1 + WEAK, 16, 2, seed=seed)
            options = {"epochs": 50, "seed": seed, "progress": False}
            plain = graphkd.distil("none", student, None, data, **options).model
            found = graphkd.distil("adversarial", student, None, data, epsilon=epsilon, **options).model
            return withstands(found, data, seed) - withstands(plain, data, seed)

        return mean_of(of, 2, seed_offset)

    assert gain(EPSILON) > 5
    assert not gain(0.0) > 5  # features as they are
