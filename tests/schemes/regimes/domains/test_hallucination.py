"""Modality distillation where its paper has it: an input that tells much is there in training and not afterwards."""

from __future__ import annotations

from tests.schemes.regimes.domains.views import of_the_other, reached, shuffled, two_views
from tests.schemes.regimes.scene import mean_of

METHODS = ("hallucination",)


def gained(seed: int, paired: bool) -> float:
    """Of both streams over one."""
    data = two_views(seed)
    seen = data if paired else shuffled(data, "other", seed)
    made = reached("hallucination", seed, seen, of_the_other(seed, data), epochs=60)
    return made - reached("none", seed, data, epochs=60)


def test_a_stream_that_makes_up_the_missing_input_helps(seed_offset):
    def holds(paired: bool) -> bool:
        return mean_of(lambda seed: gained(seed, paired), 6, seed_offset) > 9.5

    assert holds(True)
    assert not holds(False)  # each row beside another's second input
