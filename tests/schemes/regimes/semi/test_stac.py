"""STAC where its paper has it: few labels, and a teacher that is sure about many of the other rows."""

from __future__ import annotations

from tests.schemes.regimes.scene import mean_of
from tests.schemes.regimes.semi.scene import gain, jittered

METHODS = ("stac",)


def test_sure_decisions_about_changed_rows_teach(seed_offset):
    def holds(weight: float) -> bool:
        measure = lambda seed: gain("stac", seed, noise=jittered, weight=weight)  # noqa: E731
        return mean_of(measure, 6, seed_offset) > 3

    assert holds(2.0)
    assert not holds(0.0)
