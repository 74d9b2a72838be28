"""KD4MTL where its paper has it: one student of two tasks, and a teacher of each that learnt it alone, and better.

The tasks are a row's class, and which of three groups its class is in; the teachers see the better of two inputs.
"""

from __future__ import annotations

import torch

import graphkd
from graphkd import Frozen
from tests.schemes.regimes.domains.views import (
    CLASSES,
    HIDDEN,
    WIDTH,
    of_the_other,
    sees_other,
    sees_own,
    two_views,
)
from tests.schemes.regimes.scene import mean_of, net

METHODS = ("kd4mtl",)


def both(seed: int, weight: float) -> float:
    """Mean accuracy of a student in both tasks, in %."""
    data = two_views(seed)
    group = data.y % 3
    grouped = data.clone()
    grouped.y = group
    other = Frozen(of_the_other(seed + 1, grouped), call=sees_other)
    options = {"hidden": "lins.0", "call": (sees_own, sees_other), "epochs": 80, "seed": seed, "progress": False}
    options |= {"other_teacher": other, "second": torch.where(data.train_mask, group, -1), "heads": True}
    student, teacher = net(WIDTH, HIDDEN, CLASSES, seed=seed), of_the_other(seed, data)
    found = graphkd.distil("kd4mtl", student, teacher, data, weight=weight, **options)
    with torch.no_grad():
        view = found.model.with_heads(lambda: found.model.model(data.x))
    right = [view["logits"].argmax(dim=1) == data.y, view["second"].argmax(dim=1) == group]
    return 100 * float(torch.stack(right)[:, data.test_mask].float().mean())


def test_directions_of_both_teachers_help_both_tasks(seed_offset):
    labels = mean_of(lambda seed: both(seed, 0.0), 3, seed_offset)

    def holds(weight: float) -> bool:
        return mean_of(lambda seed: both(seed, weight), 3, seed_offset) > labels + 7

    assert holds(10.0)
    assert not holds(0.0)
