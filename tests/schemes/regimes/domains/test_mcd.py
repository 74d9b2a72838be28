"""Maximum cluster difference: one source with labels and a turned target, whose decided rows are right more often."""

from __future__ import annotations

from tests.schemes.regimes.domains.scene import evenly_turned, gain
from tests.schemes.regimes.scene import mean_of

METHODS = ("mcd",)


def test_decided_rows_teach(seed_offset):
    def gained(mix: float) -> float:
        measure = lambda seed: gain("mcd", evenly_turned, seed, taught=True, mix=mix)  # noqa: E731
        return mean_of(measure, 6, seed_offset)

    soft = gained(1.0)  # what is decided tells no more than other rows
    assert gained(0.1) > max(soft + 2, 1.5)
