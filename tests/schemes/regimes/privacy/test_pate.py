"""PATE where its paper has it: many teachers of little private data each, whose votes agree enough to hide in noise."""

from __future__ import annotations

from functools import partial

import torch
from torch_geometric.data import Data

import graphkd
from graphkd.schemes import privacy_spent
from tests.schemes.regimes.scene import accuracy, mean_of, net

METHODS = ("pate",)
CLASSES, WIDTH, TEACHERS, QUERIES, ROWS = 4, 8, 25, 40, 500
GAMMA = 0.3


def private(seed: int) -> tuple[Data, torch.Tensor]:
    """Rows, 250 of them private, in parts of 10; the others are public, or test; and the part of each, -1 of others."""
    draw = partial(torch.randn, generator=torch.Generator().manual_seed(seed))
    y = torch.randint(CLASSES, (ROWS,), generator=torch.Generator().manual_seed(seed + 1))
    place = torch.arange(ROWS)
    parts = torch.where(place < 250, place % TEACHERS, -1)
    x = draw(CLASSES, WIDTH)[y] + 0.6 * draw(ROWS, WIDTH)
    return Data(x=x, y=y, train_mask=parts >= 0, test_mask=place >= 310), parts


def test_votes_teach_more_than_a_part_knows_at_a_price_that_is_told(seed_offset):
    options = {"epochs": 10, "optimizer": partial(torch.optim.Adam, lr=0.03), "progress": False}

    def gain(seed: int, gamma: float) -> float:
        """Accuracy of the student of votes above that of a model of one private part."""
        data, parts = private(seed)
        own = data.subgraph((parts == 0).nonzero()[:, 0])
        alone = graphkd.distil("none", net(WIDTH, 16, CLASSES, seed=seed), None, own, seed=seed, **options).model
        settings = {"gamma": gamma, "queries": QUERIES, "parts": parts}
        given = net(WIDTH, 16, CLASSES, seed=seed)
        found = graphkd.distil("pate", given, None, data, seed=seed, **settings, **options).model
        return accuracy(found, data) - accuracy(alone, data)

    def holds(gamma: float) -> bool:
        return mean_of(partial(gain, gamma=gamma), 3, seed_offset) > 2

    assert holds(GAMMA)
    assert not holds(0.005)  # noise of two hundred votes drowns 25
    assert privacy_spent(torch.zeros(QUERIES, CLASSES), GAMMA).epsilon < 27
    assert privacy_spent(torch.zeros(QUERIES, CLASSES), 1e3).epsilon > 1e4  # votes as they are hide nobody
