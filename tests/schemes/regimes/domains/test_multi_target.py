"""Collaborative experts where their paper has them: one source, and two targets turned in ways of their own."""

from __future__ import annotations

from functools import partial

from tests.schemes.regimes.domains.scene import gain, turned_blobs
from tests.schemes.regimes.scene import mean_of

METHODS = ("multi_target",)


def test_one_student_serves_two_targets(seed_offset):
    def holds(weight: float) -> bool:
        measure = lambda seed: gain("multi_target", partial(turned_blobs, targets=2), seed, weight=weight)  # noqa: E731
        return mean_of(measure, 3, seed_offset) > 1.5

    assert holds(0.1)
    assert not holds(0.0)
