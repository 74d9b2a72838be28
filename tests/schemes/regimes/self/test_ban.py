"""Born-again networks where some labels are wrong: what a generation says of them is truer than they are."""

from __future__ import annotations

from functools import partial

import pytest

from tests.schemes.regimes.online.scene import learnt
from tests.schemes.regimes.scene import mean_of

METHODS = ("ban", "ban_ensemble")
SEEDS = 6


@pytest.mark.parametrize("name", METHODS)
def test_generations_are_better_than_the_first(name, seed_offset):
    alone = mean_of(partial(learnt, "none"), SEEDS, seed_offset)

    def holds(generations: int) -> bool:
        """Whether the last generation, or all together, gain 1.5 points."""
        return mean_of(partial(learnt, name, generations=generations), SEEDS, seed_offset) > alone + 1.5

    assert holds(3)
    assert not holds(1)  # the first learns labels alone
