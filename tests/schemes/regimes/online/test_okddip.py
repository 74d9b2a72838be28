"""OKDDip where nets learn wrong labels by heart: the leader learns from the mean of peers, whose errors differ."""

from __future__ import annotations

from functools import partial

from tests.schemes.regimes.online.scene import learnt
from tests.schemes.regimes.scene import mean_of

METHODS = ("okddip",)
# Weight and points were chosen at seeds from 400 on, which no offset below 60 has.
SEEDS = 4


def test_the_leader_is_better_than_the_same_net_alone(seed_offset):
    alone = mean_of(partial(learnt, "none"), SEEDS, seed_offset)

    def holds(weight: float) -> bool:
        """Whether the student, which leads two peers, gains 5 points."""
        led = partial(learnt, "okddip", weight=weight, temperature=1.0, ramp=0.1)
        return mean_of(led, SEEDS, seed_offset) > alone + 5

    assert holds(10.0)
    assert not holds(0.0)  # without what the peers say it is a net alone
