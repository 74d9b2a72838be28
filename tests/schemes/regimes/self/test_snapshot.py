"""Snapshot distillation where a net learns wrong labels by heart: what it was some epochs ago knew fewer of them."""

from __future__ import annotations

from functools import partial

from tests.schemes.regimes.online.scene import learnt
from tests.schemes.regimes.scene import mean_of

METHODS = ("snapshot",)
SEEDS = 6


def test_a_student_that_agrees_with_its_past_is_better(seed_offset):
    alone = mean_of(partial(learnt, "none"), SEEDS, seed_offset)

    def holds(weight: float) -> bool:
        """Whether the student gains 1.5 points."""
        past = partial(learnt, "snapshot", weight=weight, every=5)
        return mean_of(past, SEEDS, seed_offset) > alone + 1.5

    assert holds(4.0)
    assert not holds(0.0)
