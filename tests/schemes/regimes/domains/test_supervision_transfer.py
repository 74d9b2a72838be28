"""Supervision transfer where its paper has it: many pairs of two inputs, and labels of few for the student's input."""

from __future__ import annotations

from tests.schemes.regimes.domains.views import of_the_other, reached, shuffled, two_views
from tests.schemes.regimes.scene import mean_of

METHODS = ("supervision_transfer",)


def gained(seed: int, paired: bool) -> float:
    data = two_views(seed)
    seen = data if paired else shuffled(data, "other", seed)
    transferred = reached("supervision_transfer", seed, seen, of_the_other(seed, data))
    return transferred - reached("none", seed, data)


def test_features_of_pairs_are_worth_labels(seed_offset):
    def holds(paired: bool) -> bool:
        return mean_of(lambda seed: gained(seed, paired), 5, seed_offset) > 7.5

    assert holds(True)
    assert not holds(False)  # each row beside another's second input
