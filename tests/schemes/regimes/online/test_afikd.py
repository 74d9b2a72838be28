"""AFIKD where nets learn wrong labels by heart: features that are drawn to the others' leave less room for it."""

from __future__ import annotations

from functools import partial

from tests.schemes.regimes.online.scene import learnt
from tests.schemes.regimes.scene import mean_of

METHODS = ("afikd",)
# Weight and points were chosen at seeds from 400 on, which no offset below 100 has.
SEEDS = 4


def test_a_peer_that_learns_features_is_better_than_one_that_learns_answers(seed_offset):
    alone = mean_of(partial(learnt, "none"), SEEDS, seed_offset)

    def holds(weight: float) -> bool:
        """Whether the student, of three peers, gains 8 points, more than answers bring."""
        drawn = partial(learnt, "afikd", weight=weight, temperature=1.0)
        return mean_of(drawn, SEEDS, seed_offset) > alone + 8

    assert holds(100.0)
    assert not holds(0.0)  # peers learn each other's answers alone
