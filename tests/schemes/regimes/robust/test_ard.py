"""ARD where its paper has it: an attack that knows the weights, few labels, and a teacher, robust or not."""

from __future__ import annotations

import pytest

import graphkd
from tests.schemes.regimes.robust.scene import EPSILON, WEAK, rows, withstands
from tests.schemes.regimes.scene import mean_of, net

METHODS = ("ard", "ard_plain")


@pytest.mark.parametrize("name", METHODS)
def test_a_student_withstands_an_attack_that_plain_distillation_does_not(name, seed_offset):
    def gain(epsilon: float) -> float:
        def of(seed: int) -> float:
            data, student = rows(seed), net(1 + WEAK, 16, 2, seed=seed)
            options = {"epochs": 50, "seed": seed, "progress": False}
            teacher = graphkd.distil("none", net(1 + WEAK, 32, 2, seed=seed), None, data, **options).model
            plain = graphkd.distil("kd", student, teacher, data, **options).model
            found = graphkd.distil(name, student, teacher, data, epsilon=epsilon, **options).model
            return withstands(found, data, seed) - withstands(plain, data, seed)

        return mean_of(of, 2, seed_offset)

    assert gain(EPSILON) > 5
    assert not gain(0.0) > 5  # an attack that changes nothing
