"""Maximum cluster difference: one source with labels and a turned target, whose decided rows are right more often."""

from __future__ import annotations

from functools import partial

from tests.schemes.regimes.domains.scene import gain, turned_blobs
from tests.schemes.regimes.scene import mean_of

METHODS = ("mcd",)


def test_decided_rows_teach(seed_offset):
    def gained(mix: float) -> float:
        measure = lambda seed: gain("mcd", partial(turned_blobs, by=0.2), seed, taught=True, mix=mix)  # noqa: E731
        return mean_of(measure, 3, seed_offset)

    soft = gained(1.0)  # what is decided tells no more than other rows
    assert gained(0.1) > max(soft + 0.5, 1.5)
