"""CyCADA where its paper has it: a target whose features are given in another way, here all moved by a constant."""

from __future__ import annotations

from tests.schemes.regimes.domains.scene import gain, moved_blobs
from tests.schemes.regimes.scene import mean_of

METHODS = ("cycada",)


def gained(seed: int, translation: float, features: float) -> float:
    weights = {"translation_weight": translation, "feature_weight": features}
    return gain("cycada", moved_blobs, seed, taught=True, **weights)


def test_a_source_that_is_translated_teaches_the_target(seed_offset):
    def holds(translation: float, features: float) -> bool:
        return mean_of(lambda seed: gained(seed, translation, features), 3, seed_offset) > 3

    assert holds(1.0, 0.001)
    assert not holds(0.0, 0.0)
