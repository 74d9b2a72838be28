"""Noisy student where its paper has it: few labels and many rows without.

The teacher's confident answers say where the classes are among all rows, and noise keeps the student from its mistakes.
"""

from __future__ import annotations

from tests.schemes.regimes.scene import mean_of
from tests.schemes.regimes.semi.scene import gain, jittered

METHODS = ("noisy_student",)


def test_confident_answers_and_noise_teach(seed_offset):
    def holds(threshold: float) -> bool:
        measure = lambda seed: gain("noisy_student", seed, noise=jittered, threshold=threshold)  # noqa: E731
        return mean_of(measure, 4, seed_offset) > 4

    assert holds(0.3)
    assert not holds(1.1)  # of which no answer is: labels and noise alone
