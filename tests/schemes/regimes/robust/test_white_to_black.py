"""White-to-black where its paper has it: a model with hidden weights learnt the same thing as one that is known."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import MLP

import graphkd
from graphkd.core.batches import changed
from graphkd.losses import CE
from graphkd.schemes import attacked
from graphkd.tasks import accuracy

METHODS = ("white_to_black",)
ROWS, CLASSES, WIDTH, EPSILON = 300, 4, 24, 0.6


def rows(seed: int) -> tuple[Data, Data]:
    """Rows that are seen, and new ones, of classes with room between them."""
    draw = partial(torch.randn, generator=torch.Generator().manual_seed(seed))
    y, middles = torch.arange(ROWS) % CLASSES, draw(CLASSES, WIDTH)
    every = torch.ones(ROWS, dtype=torch.bool)
    seen, new = (middles[y] + 0.7 * draw(ROWS, WIDTH) for _ in range(2))
    return Data(x=seen, y=y, train_mask=every), Data(x=new, y=y, test_mask=every)


def model(seed: int, width: int) -> nn.Module:
    torch.manual_seed(seed)
    return MLP([WIDTH, width, CLASSES], norm=None)


def test_one_pass_deceives_a_model_that_the_net_has_never_seen(seed_offset):
    seen, new = rows(seed_offset)
    options = {"epochs": 60, "seed": seed_offset, "progress": False}
    source = graphkd.distil("none", model(seed_offset, 64), None, seen, **options).model
    hidden = graphkd.distil("none", model(seed_offset + 100, 32), None, seen, **options).model

    def withstood(steps: int) -> float:
        found = graphkd.distil("white_to_black", None, source, seen, epsilon=EPSILON, steps=steps, **options)
        with torch.no_grad():
            return accuracy(hidden, changed(new, x=found.model.attack(new.x)))

    torch.manual_seed(seed_offset)
    transferred = accuracy(hidden, changed(new, x=attacked(source, new, CE(where="all"), EPSILON)))
    assert accuracy(hidden, new) > 0.95
    assert withstood(10) < min(0.92, transferred + 0.1)  # nearly what eleven passes with the weights at hand come to
    assert withstood(0) > 0.95  # of an attack without a step nothing is learnt, and changes do no harm
