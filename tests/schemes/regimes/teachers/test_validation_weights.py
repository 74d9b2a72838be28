"""Weights by validation risk where the paper has them: teachers of other domains, of which some mislead."""

from __future__ import annotations

from tests.schemes.regimes.scene import mean_of
from tests.schemes.regimes.teachers.scene import one_good, regions, score

METHODS = ("validation_weights",)


def test_held_out_labels_tell_the_good_teacher_from_the_bad(seed_offset):
    """The weights move away from two teachers that have learnt wrong labels; with equal weights these outvote."""

    def gain(rate: float) -> float:
        def of(seed: int) -> float:
            data = regions(seed)
            teachers, options = one_good(seed), {"epochs": 80}
            found = score("validation_weights", data, teachers, seed, rate=rate, **options)
            return found - score("ensemble", data, teachers, seed, label_weight=0.5, **options)

        return mean_of(of, 2, seed_offset)

    assert gain(0.1) > 6
    assert not gain(0.0) > 6
