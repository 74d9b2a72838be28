"""Feature alignment: a target whose features are moved, so that hidden layers tell the domains apart."""

from __future__ import annotations

from tests.schemes.regimes.domains.scene import gain, moved_blobs
from tests.schemes.regimes.scene import mean_of

METHODS = ("adversarial_features",)


def test_hidden_layers_that_do_not_tell_domains_apart_serve_in_both(seed_offset):
    def holds(weight: float) -> bool:
        measure = lambda seed: gain("adversarial_features", moved_blobs, seed, weight=weight)  # noqa: E731
        return mean_of(measure, 6, seed_offset) > 2

    assert holds(0.001)
    assert not holds(0.0)
