"""Weights of source domains where their paper has them: sources that speak of other things, in words of their own.

A class is told by words; in another domain the same words tell another class, and its teacher is wrong in the target.
The target's words are those of one source.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torch_geometric.data import Data

import graphkd
from tests.schemes.regimes.scene import mean_of, net

METHODS = ("domain_weights",)
DOMAINS, CLASSES = 3, 4  # rows have counts of 8 common words, and of those of a domain


def rows(seed: int) -> tuple[Data, Tensor]:
    """100 rows of each source, and of a target like the first, -1."""
    generator = torch.Generator().manual_seed(seed)
    rand = partial(torch.rand, generator=generator)
    place = torch.arange(100 * (DOMAINS + 1))
    y, domain = place % CLASSES, place // 100 % DOMAINS
    tells = 3 * rand(CLASSES, 8)
    x = 0.3 * rand(len(place), 8 + 8 * DOMAINS)
    x[:, :8] += tells[(y + domain) % CLASSES] * rand(len(place), 1)  # the same words, another class
    for number in range(DOMAINS):
        own = domain == number
        x[own, 8 + 8 * number : 16 + 8 * number] += 6 * rand(int(own.sum()), 8)
    sources = torch.where(place < 100 * DOMAINS, domain, -1)
    return Data(x=x, y=y, train_mask=sources == 0, test_mask=sources < 0), sources


def reached(seed: int, roll: int) -> float:
    """Accuracy in the target of a student of all teachers, in %, of weights for sources moved by ``roll``."""
    data, sources = rows(seed)
    options = {"epochs": 60, "seed": seed, "progress": False}
    teachers = []
    for number in range(DOMAINS):
        own = Data(x=data.x, y=data.y, train_mask=sources == number)
        teachers.append(graphkd.distil("none", model(seed + number), None, own, **options).model)
    told = torch.where(sources < 0, -1, (sources + roll) % DOMAINS)
    found = graphkd.distil("domain_weights", model(seed), teachers, data, sources=told, **options)
    return 100 * found.scores["test"]["accuracy"]


def model(seed: int):
    return net(8 + 8 * DOMAINS, 32, CLASSES, seed=seed)


def test_the_source_that_is_like_the_target_weighs_most(seed_offset):
    def holds(roll: int) -> bool:
        return mean_of(lambda seed: reached(seed, roll), 3, seed_offset) > 38

    assert holds(0)
    assert not holds(1)  # each teacher has another's weight
