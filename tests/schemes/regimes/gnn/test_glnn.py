"""GLNN and FF-G2M where their papers have them: edges tell what features hardly do, and new nodes come without them.

Few labels teach an MLP little; a teacher that reads edges answers for every node.
"""

from __future__ import annotations

import pytest

import graphkd
from tests.schemes.regimes.gnn.scene import communities, right, teacher
from tests.schemes.regimes.scene import mean_of, net

METHODS = ("glnn", "ffg2m")


@pytest.mark.parametrize("name", METHODS)
def test_an_mlp_learns_from_a_graph_neural_network(name, seed_offset):
    def gain(seed: int, **settings: float) -> float:
        """Points over the same MLP of the labels."""
        data, options = communities(seed), {"epochs": 60, "seed": seed, "progress": False}
        student, known = net(16, 32, 4, seed=seed, dropout=0.3), teacher(data, seed)
        taught = graphkd.distil(name, student, known, data, **settings, **options)
        return right(taught) - right(graphkd.distil("none", student, None, data, **options))

    def holds(**settings: float) -> bool:
        return mean_of(lambda seed: gain(seed, **settings), 4, seed_offset) > 10

    assert holds()
    assert not holds(label_weight=1.0)  # without the teacher
