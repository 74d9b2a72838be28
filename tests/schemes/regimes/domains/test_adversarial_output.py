"""Output-space alignment where its paper has it: a target of the same classes, turned, of which no label is known."""

from __future__ import annotations

from tests.schemes.regimes.domains.scene import gain, turned_digits
from tests.schemes.regimes.scene import mean_of

METHODS = ("adversarial_output",)


def test_answers_that_look_like_the_source_s_are_right_more_often(seed_offset):
    def holds(weight: float) -> bool:
        measure = lambda seed: gain("adversarial_output", turned_digits, seed, weight=weight)  # noqa: E731
        return mean_of(measure, 3, seed_offset) > 2.5

    assert holds(0.1)
    assert not holds(0.0)
