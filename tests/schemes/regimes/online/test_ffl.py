"""FFL where nets learn wrong labels by heart: a classifier on all peers' features tempers each, as they temper it."""

from __future__ import annotations

from functools import partial

from tests.schemes.regimes.online.scene import learnt
from tests.schemes.regimes.scene import mean_of

METHODS = ("ffl",)
# Weight and points were chosen at seeds from 400 on, which no offset below 100 has.
SEEDS = 4


def test_a_peer_is_better_than_the_same_net_alone(seed_offset):
    alone = mean_of(partial(learnt, "none"), SEEDS, seed_offset)

    def holds(weight: float) -> bool:
        """Whether the student, of three peers, gains 5 points."""
        fused = partial(learnt, "ffl", weight=weight, temperature=1.0, ramp=0.1)
        return mean_of(fused, SEEDS, seed_offset) > alone + 5

    assert holds(10.0)
    assert not holds(0.0)  # a fused classifier that teaches nobody changes nothing
