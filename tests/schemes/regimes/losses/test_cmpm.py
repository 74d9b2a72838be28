"""Projection matching where its paper has it: rows of one input are to find rows of their kind in another."""

from __future__ import annotations

import pytest

from graphkd.losses import CMPC, CMPM
from tests.schemes.regimes.domains.views import CLASSES, HIDDEN, found_again
from tests.schemes.regimes.scene import mean_of

METHODS = ("cmpm", "cmpc")
MATCHINGS = {
    "cmpm": lambda: CMPM(where="train_mask"),
    "cmpc": lambda: CMPC(CLASSES, HIDDEN, where="train_mask"),
}
WEIGHTS = {"cmpm": 1.0, "cmpc": 3.0}
SEEDS = 12


@pytest.mark.parametrize("name", MATCHINGS)
def test_embeddings_of_one_input_find_those_of_the_other(name, seed_offset):
    def holds(weight: float) -> bool:
        return mean_of(lambda seed: found_again(seed, weight, MATCHINGS[name]), SEEDS, seed_offset) > 27

    assert holds(WEIGHTS[name])
    assert not holds(0.0)  # of six classes a sixth is found by chance
