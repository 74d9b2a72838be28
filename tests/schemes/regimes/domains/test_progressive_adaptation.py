"""Progressive adaptation: a turned target, to which a teacher of the source is carried while it teaches."""

from __future__ import annotations

from tests.schemes.regimes.domains.scene import gain, turned_blobs
from tests.schemes.regimes.scene import mean_of

METHODS = ("progressive_adaptation",)


def gained(seed: int, weight: float) -> float:
    return gain("progressive_adaptation", turned_blobs, seed, taught=True, weight=weight)


def test_a_teacher_that_adapts_teaches_more_than_one_that_stays(seed_offset):
    adapts, stays = (mean_of(lambda seed, w=weight: gained(seed, w), 5, seed_offset) for weight in (0.1, 0.0))
    assert adapts > 1
    assert adapts > stays + 1
