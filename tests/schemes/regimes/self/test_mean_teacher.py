"""Mean Teacher where a net learns wrong labels by heart: the average of its weights has not followed each of them."""

from __future__ import annotations

from functools import partial

from tests.schemes.regimes.online.scene import learnt
from tests.schemes.regimes.scene import mean_of

METHODS = ("mean_teacher",)
SEEDS = 6


def test_a_student_that_agrees_with_its_average_is_better(seed_offset):
    alone = mean_of(partial(learnt, "none"), SEEDS, seed_offset)

    def holds(weight: float) -> bool:
        """Whether the student gains 3 points."""
        steady = partial(learnt, "mean_teacher", weight=weight, decay=0.9)
        return mean_of(steady, SEEDS, seed_offset) > alone + 3

    assert holds(100.0)
    assert not holds(0.0)
