"""Progressive adaptation: a turned target, to which a teacher of the source is carried while it teaches."""

from __future__ import annotations

from tests.schemes.regimes.domains.scene import gain, turned_blobs
from tests.schemes.regimes.scene import mean_of

METHODS = ("progressive_adaptation",)


def gained(seed: int, weight: float) -> float:
    return gain("progressive_adaptation", turned_blobs, seed, taught=True, weight=weight)


def test_a_teacher_that_adapts_teaches_more_than_one_that_stays(seed_offset):
    stays = mean_of(lambda seed: gained(seed, 0.0), 5, seed_offset)

    def holds(weight: float) -> bool:
        found = mean_of(lambda seed: gained(seed, weight), 5, seed_offset)
        return found > max(stays + 1, 1)

    assert holds(0.1)
    assert not holds(0.0)
