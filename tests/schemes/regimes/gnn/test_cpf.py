"""CPF where its paper has it: labels spread along edges, a teacher knows how far, features help a little.

The student propagates labels with weights of its own, which it learns from a teacher's answers.
"""

from __future__ import annotations

from functools import partial

import pytest

import graphkd
from tests.schemes.regimes.gnn.scene import communities, gcn, right, teacher
from tests.schemes.regimes.scene import mean_of, net

METHODS = ("cpf_tra", "cpf_ind")


@pytest.mark.parametrize("name", METHODS)
def test_a_student_that_propagates_learns_from_its_teacher(name, seed_offset):
    def gain(seed: int, *, taught: bool) -> float:
        """Points over a perceptron of the labels; a teacher that is not taught has learnt nothing."""
        data, options = communities(seed), {"seed": seed, "progress": False}
        mlp = net(16, 32, 4, seed=seed, dropout=0.3)
        alone = right(graphkd.distil("none", mlp, None, data, epochs=60, **options))
        known = teacher(data, seed) if taught else gcn(data, seed)
        return right(graphkd.distil(name, None, known, data, epochs=100, lr=0.01, **options)) - alone

    def holds(*, taught: bool) -> bool:
        return mean_of(partial(gain, taught=taught), 2, seed_offset) > 12

    assert holds(taught=True)
    assert not holds(taught=False)


def test_labels_must_propagate(seed_offset):
    def accuracy(seed: int, *, steps: int) -> float:
        data, options = communities(seed), {"epochs": 100, "lr": 0.01, "seed": seed, "progress": False}
        return right(graphkd.distil("cpf_tra", None, teacher(data, seed), data, steps=steps, **options))

    def holds(steps: int) -> bool:
        return mean_of(partial(accuracy, steps=steps), 3, seed_offset) > 82

    assert holds(7)
    assert not holds(1)  # most nodes have no labelled neighbour
