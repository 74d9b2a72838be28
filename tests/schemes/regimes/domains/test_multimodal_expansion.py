"""Multimodal knowledge expansion where its paper has it: a second input without labels, a teacher of the first alone.

The teacher's mistakes come from its input's noise, of which the second input knows nothing, so that a student of both
surpasses the teacher whose answers are all it has.
"""

from __future__ import annotations

import torch
from torch import nn

import graphkd
from tests.schemes.regimes.domains.views import CLASSES, HIDDEN, WIDTH, shuffled, two_views
from tests.schemes.regimes.scene import accuracy, mean_of, net

METHODS = ("multimodal_expansion",)


class OfBoth(nn.Module):
    def __init__(self, seed: int) -> None:
        super().__init__()
        self.model = net(2 * WIDTH, 2 * HIDDEN, CLASSES, seed=seed)

    def forward(self, x, modality):
        return self.model(torch.cat([x, modality], dim=1))


def surpassed(seed: int, gamma: float, tells: bool = True) -> float:
    """By how much the student is better than its teacher, in %."""
    data = two_views(seed, labels=15)
    options = {"epochs": 60, "seed": seed, "progress": False}
    teacher = graphkd.distil("none", net(WIDTH, HIDDEN, CLASSES, seed=seed + 500), None, data, **options).model
    modality = (data if tells else shuffled(data, "other", seed)).other
    options |= {"modality": modality, "gamma": gamma, "rate": 0.5, "epochs": 25}
    student = graphkd.distil("multimodal_expansion", OfBoth(seed), teacher, data, **options)
    return 100 * student.scores["test"]["accuracy"] - accuracy(teacher, data)


def test_a_student_of_both_surpasses_its_teacher(seed_offset):
    unsteady = mean_of(lambda seed: surpassed(seed, 0.0), 3, seed_offset)  # it learns more of its teacher's mistakes

    def holds(gamma: float, tells: bool = True) -> bool:
        found = mean_of(lambda seed: surpassed(seed, gamma, tells), 3, seed_offset)
        return found > max(unsteady + 2, 2)

    assert holds(10.0)
    assert not holds(0.0)
    assert not holds(10.0, tells=False)  # the second input of other rows
