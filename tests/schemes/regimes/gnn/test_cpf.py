"""CPF where its paper has it: labels spread along edges, a teacher knows how far, features help a little.

The student propagates labels with weights of its own, which it learns from a teacher's answers.
"""

from __future__ import annotations

import pytest
from torch import nn

import graphkd
from tests.schemes.regimes.gnn.scene import communities, gcn, right, teacher
from tests.schemes.regimes.scene import net

METHODS = ("cpf_tra", "cpf_ind")


@pytest.mark.parametrize("name", METHODS)
def test_a_student_that_propagates_learns_from_its_teacher(name, seed_offset):
    data, options = communities(seed_offset), {"seed": seed_offset, "progress": False}
    mlp = net(16, 32, 4, seed=seed_offset, dropout=0.3)
    alone = right(graphkd.distil("none", mlp, None, data, epochs=60, **options))

    def holds(known: nn.Module) -> bool:
        return right(graphkd.distil(name, None, known, data, epochs=100, lr=0.01, **options)) > alone + 12

    assert holds(teacher(data, seed_offset))
    assert not holds(gcn(data, seed_offset))  # which has learnt nothing


def test_labels_must_propagate(seed_offset):
    data = communities(seed_offset)
    known, options = teacher(data, seed_offset), {"epochs": 100, "lr": 0.01, "seed": seed_offset, "progress": False}

    def holds(steps: int) -> bool:
        return right(graphkd.distil("cpf_tra", None, known, data, steps=steps, **options)) > 80

    assert holds(7)
    assert not holds(1)  # most nodes have no labelled neighbour
