"""MuST where its paper has it: no row has labels of all tasks, and a teacher of each labels them all.

The task is a row's class, of which few labels are known; another teacher, of other labels, knows which of three groups
the class is in. Labels and points were chosen at seeds from 300 on, which no offset below 50 has.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

import graphkd
from graphkd import Frozen
from tests.schemes.regimes.domains.views import CLASSES, HIDDEN, WIDTH, of_the_other, reached, sees_other, two_views
from tests.schemes.regimes.scene import mean_of, net

METHODS = ("must",)
SEEDS = 10


class Ignorant(nn.Module):
    """Answers all groups alike."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros(len(x), 3)


def gained(seed: int, knows: bool) -> float:
    """Beyond the student alone, in %; the first teacher has no more labels than the student."""
    data = two_views(seed, labels=6)
    grouped = data.clone()
    grouped.y = data.y % 3
    options = {"epochs": 60, "seed": seed, "progress": False}
    own = graphkd.distil("none", net(WIDTH, HIDDEN, CLASSES, seed=seed + 900), None, data, **options).model
    other = Frozen(of_the_other(seed, grouped) if knows else Ignorant(), call=sees_other)
    taught = reached("must", seed, data, Frozen(own), other_teacher=other)
    return taught - reached("none", seed, data)


def test_another_task_s_labels_help(seed_offset):
    helped = mean_of(partial(gained, knows=True), SEEDS, seed_offset)
    assert helped > 2.5
    assert helped > mean_of(partial(gained, knows=False), SEEDS, seed_offset) + 1.5  # a teacher that is never sure
