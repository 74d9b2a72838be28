"""TinyGNN where its paper has it: one hop is all that the student may look, two are what its teacher looked.

With few labels a shallow student misses what lies further; its teacher's answers tell it.
"""

from __future__ import annotations

from torch import nn

import graphkd
from tests.schemes.regimes.gnn.scene import communities, gcn, right, teacher
from tests.schemes.regimes.scene import mean_of

METHODS = ("tinygnn",)


def test_a_shallow_student_learns_from_a_deeper_teacher(seed_offset):
    def gain(seed: int, *, taught: bool) -> float:
        """Points over the same student of the labels."""
        data, options = communities(seed), {"width": 32, "epochs": 60, "seed": seed, "progress": False}
        known: nn.Module = teacher(data, seed) if taught else gcn(data, seed)
        alone = graphkd.distil("tinygnn", None, known, data, soft_weight=0.0, **options)
        return right(graphkd.distil("tinygnn", None, known, data, **options)) - right(alone)

    def holds(*, taught: bool) -> bool:
        return mean_of(lambda seed: gain(seed, taught=taught), 4, seed_offset) > 3

    assert holds(taught=True)
    assert not holds(taught=False)  # by a teacher that has learnt nothing
