"""Bidirectional learning: a target that is turned, or moved, whose sure answers by an aligned model are right."""

from __future__ import annotations

from typing import Any

from tests.schemes.regimes.domains.scene import Made, gain, moved_blobs, turned_blobs
from tests.schemes.regimes.scene import mean_of

METHODS = ("bidirectional", "bidirectional_translated")


def gained(method: str, made: Made, offset: int, **settings: Any) -> float:
    return mean_of(lambda seed: gain(method, made, seed, epochs=40, **settings), 3, offset)


def test_alignment_and_sure_answers_in_turn(seed_offset):
    def holds(threshold: float, weight: float) -> bool:
        return gained("bidirectional", turned_blobs, seed_offset, threshold=threshold, weight=weight) > 2.5

    assert holds(0.9, 0.01)
    assert not holds(1.1, 0.0)  # no answer is that sure, and nothing is aligned


def test_a_translated_source_helps_where_features_are_moved(seed_offset):
    def holds(rounds: int) -> bool:
        return gained("bidirectional_translated", moved_blobs, seed_offset, rounds=rounds) > 6

    assert holds(2)
    assert not holds(1)  # the first round has no translator yet
