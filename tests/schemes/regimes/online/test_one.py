"""ONE where a net learns wrong labels by heart: its branches' ensemble doubts them longer than each branch does."""

from __future__ import annotations

from functools import partial

from tests.schemes.regimes.online.scene import learnt
from tests.schemes.regimes.scene import mean_of

METHODS = ("one",)
# Weight and points were chosen at seeds from 400 on, which no offset below 60 has.
SEEDS = 6


def test_a_branch_is_better_than_the_same_net_alone(seed_offset):
    alone = mean_of(partial(learnt, "none"), SEEDS, seed_offset)

    def holds(weight: float) -> bool:
        """Whether the student, of three branches, gains 3.5 points."""
        branched = partial(learnt, "one", weight=weight, temperature=1.0, ramp=0.1)
        return mean_of(branched, SEEDS, seed_offset) > alone + 3.5

    assert holds(10.0)
    assert not holds(0.0)  # a trunk that is shared helps nobody by itself
