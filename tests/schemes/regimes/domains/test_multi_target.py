"""Collaborative experts where their paper has them: one source, and two targets turned in ways of their own.

Points were chosen at seeds from 300 on, which no offset below 75 has.
"""

from __future__ import annotations

from functools import cache, partial

from tests.schemes.regimes.domains.scene import gain, turned_blobs
from tests.schemes.regimes.scene import mean_of

METHODS = ("multi_target",)
SEEDS = 4


@cache
def gained(seed: int, weight: float) -> float:
    return gain("multi_target", partial(turned_blobs, targets=2), seed, weight=weight)


def test_one_student_serves_two_targets(seed_offset):
    assert mean_of(partial(gained, weight=0.1), SEEDS, seed_offset) > 0.5

    def holds(weight: float) -> bool:
        """Whether experts that learn from each other gain beside experts that do not."""
        return mean_of(lambda seed: gained(seed, weight) - gained(seed, 0.0), SEEDS, seed_offset) > 1

    assert holds(0.1)
    assert not holds(0.0)
