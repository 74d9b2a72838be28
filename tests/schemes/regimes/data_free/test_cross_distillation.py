"""Cross distillation where its paper has it: a net to be pruned hard, with five rows a class at hand.

Inputs of a layer go together, so that weights can make up for one another: which stay is found with what they become.
"""

from __future__ import annotations

import copy

import torch
from torch import nn

import graphkd
from tests.schemes.regimes.data_free.scene import in_a_plane, rows, teacher
from tests.schemes.regimes.scene import accuracy, mean_of

METHODS = ("cross_distillation",)
KEPT = 0.1


@torch.no_grad()
def cut(model: nn.Module) -> nn.Module:
    """The net with the largest weights of every layer as they are."""
    found = copy.deepcopy(model)
    for layer in found.lins:
        size = layer.weight.abs()
        layer.weight *= size >= size.flatten().quantile(1 - KEPT)
    return found


def test_a_pruned_net_answers_as_the_whole_one(seed_offset):
    def gain(seed: int, **settings: float) -> float:
        """Points over the net that is cut and not refitted."""
        data = in_a_plane(rows(seed, rows=400, width=8, labels=5, spread=0.7), seed, 32, spread=0.3)
        known = teacher(data, seed)
        pruned = graphkd.distil("cross_distillation", None, known, data, kept=KEPT, seed=seed, **settings).model
        return accuracy(pruned, data) - accuracy(cut(known), data)

    def holds(**settings: float) -> bool:
        return mean_of(lambda seed: gain(seed, **settings), 10, seed_offset) > 20

    assert holds()
    assert not holds(steps=0)  # the largest weights, refitted
