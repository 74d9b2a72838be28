"""DML where nets learn wrong labels by heart: each peer's are tempered by what the others still doubt."""

from __future__ import annotations

from functools import partial

from tests.schemes.regimes.online.scene import learnt
from tests.schemes.regimes.scene import mean_of

METHODS = ("dml",)
SEEDS = 4


def test_a_peer_is_better_than_the_same_net_alone(seed_offset):
    alone = mean_of(partial(learnt, "none"), SEEDS, seed_offset)

    def holds(weight: float) -> bool:
        """Whether the student, of three peers, gains 3 points."""
        return mean_of(partial(learnt, "dml", weight=weight), SEEDS, seed_offset) > alone + 3

    assert holds(2.0)
    assert not holds(0.0)  # peers that do not learn from each other are nets alone
