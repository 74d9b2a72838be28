"""Tri-training where its papers have it: labels of one domain, and rows of another that two models agree on."""

from __future__ import annotations

from tests.schemes.regimes.domains.scene import trained, turned_blobs
from tests.schemes.regimes.scene import accuracy, mean_of

METHODS = ("tri_training",)


def gained(seed: int, rounds: int) -> float:
    data, _ = turned_blobs(seed)
    found = trained(seed, data, "tri_training", rounds=rounds, epochs=25)
    return accuracy(found, data) - accuracy(trained(seed, data), data)


def test_what_two_agree_on_carries_the_third_over(seed_offset):
    start = mean_of(lambda seed: gained(seed, 0), 4, seed_offset)  # bootstrap samples alone

    def holds(rounds: int) -> bool:
        return mean_of(lambda seed: gained(seed, rounds), 4, seed_offset) > start + 0.5

    assert holds(3)
    assert not holds(0)
