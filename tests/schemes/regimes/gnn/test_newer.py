"""GNN-to-MLP methods after 2023 where their papers have them: few labels, and edges that tell what features hardly do.

TINED injects its teacher's weights, VQGraph brings a teacher with a codebook, AdaGMLP boosts MLPs too small to follow
alone, HG2M trusts the nodes of which the teacher is sure.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

import graphkd
from tests.schemes.regimes.gnn.scene import communities, gcn, right, teacher
from tests.schemes.regimes.gnn.test_krd import Shaky
from tests.schemes.regimes.scene import mean_of, net

METHODS = ("tined", "adagmlp", "vqgraph", "hg2m")


def test_a_teachers_weights_are_worth_something(seed_offset):
    data, options = communities(seed_offset), {"epochs": 60, "seed": seed_offset, "progress": False}
    alone = right(graphkd.distil("none", net(16, 32, 4, seed=seed_offset, dropout=0.3), None, data, **options))

    def holds(*, learnt: bool) -> bool:
        known = teacher(data, seed_offset) if learnt else gcn(data, seed_offset)
        return right(graphkd.distil("tined", None, known, data, **options)) > alone + 12

    assert holds(learnt=True)
    assert not holds(learnt=False)


SETTINGS: dict[str, dict[str, Any]] = {
    "adagmlp": {"width": 8, "dropout": 0.3, "temperature": 1.0, "members": 4},
    "vqgraph": {"codes": 60, "teacher_epochs": 60, "teacher_lr": 0.01, "teacher_dropout": 0.5, "dropout": 0.3},
}


SEEDS = {"adagmlp": 4, "vqgraph": 1}


@pytest.mark.parametrize("name", SETTINGS)
def test_soft_labels_reach_what_labels_do_not(name, seed_offset):
    @cache
    def accuracy(seed: int, label_weight: float) -> float:
        data, options = communities(seed), {"epochs": 60, "seed": seed, "progress": False}
        options |= SETTINGS[name] | {"label_weight": label_weight}
        return right(graphkd.distil(name, None, teacher(data, seed), data, **options))

    def holds(label_weight: float) -> bool:
        gain = lambda seed: accuracy(seed, label_weight) - accuracy(seed, 1.0)  # noqa: E731
        return mean_of(gain, SEEDS[name], seed_offset) > 8

    assert holds(0.1)
    assert not holds(0.999)


def test_sure_nodes_alone_teach_better_where_others_know_nothing(seed_offset):
    @cache
    def accuracy(seed: int, share: float) -> float:
        data, options = communities(seed, homophily=0.95), {"epochs": 100, "seed": seed, "progress": False}
        student = net(16, 32, 4, seed=seed, dropout=0.3)
        settings = {"reliable_share": share, "path_weight": 0.0}
        return right(graphkd.distil("hg2m", student, Shaky(data, seed), data, **settings, **options))

    def holds(share: float) -> bool:
        return mean_of(lambda seed: accuracy(seed, share) - accuracy(seed, 1.0), 8, seed_offset) > 4

    assert holds(0.6)
    assert not holds(0.999)
