"""Born-again networks where some labels are wrong: what a generation says of them is truer than they are."""

from __future__ import annotations

from functools import partial

import pytest

from tests.schemes.regimes.online.scene import learnt
from tests.schemes.regimes.scene import mean_of

METHODS = ("ban", "ban_ensemble", "ban_dkpp")
GAINS = [("ban", 6, 1.5), ("ban_ensemble", 6, 1.5), ("ban_dkpp", 16, 0.8)]


@pytest.mark.parametrize(("name", "seeds", "points"), GAINS)
def test_generations_are_better_than_the_first(name, seeds, points, seed_offset):
    """Dark knowledge that is shuffled, so that how sure a generation is remains, gains half of what it does whole."""
    alone = mean_of(partial(learnt, "none"), seeds, seed_offset)

    def holds(generations: int) -> bool:
        """Whether the last generation, or all together, gain so much."""
        return mean_of(partial(learnt, name, generations=generations), seeds, seed_offset) > alone + points

    assert holds(3)
    assert not holds(1)  # the first learns labels alone
