"""Rows of several regions, and teachers trained elsewhere: each good at something, some at nothing.

Rows and teachers of a seed are made once; nothing that a test does changes them.
"""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

import graphkd
from tests.schemes.regimes.scene import accuracy, net

HIDDEN = "lins.0"
ROWS, WIDTH, CLASSES, REGIONS = 540, 16, 3, 3


@cache
def regions(seed: int) -> Data:
    """Rows about a centre each region and class: three of each labelled, as many to validate, a half to test.

    The region of every row is ``region``, (N,).
    """
    draw = partial(torch.randn, generator=torch.Generator().manual_seed(seed))
    place = torch.arange(ROWS)
    y, region, turn = place % CLASSES, place // CLASSES % REGIONS, place // (CLASSES * REGIONS)
    x = 1.5 * draw(REGIONS, WIDTH)[region] + draw(REGIONS, CLASSES, WIDTH)[region, y] + 1.3 * draw(ROWS, WIDTH)
    masks = {"train_mask": turn < 3, "val_mask": (turn >= 3) & (turn < 6), "test_mask": place >= ROWS // 2}
    return Data(x=x, y=y, region=region, **masks)


def trained(model: nn.Module, data: Data, rows: Tensor, *, y: Tensor | None = None, **options: Any) -> nn.Module:
    """Train a model on the labels of ``rows``, whether students have them or not; ``y``: in place of the data's."""
    own = Data(x=data.x, y=data.y if y is None else y, train_mask=rows)
    return graphkd.distil("none", model, None, own, **{"epochs": 50, "progress": False} | options).model


def perceptron(hidden: int, seed: int) -> nn.Module:
    """A perceptron for the rows."""
    return net(WIDTH, hidden, CLASSES, seed=seed)


@cache
def specialists(seed: int) -> list[nn.Module]:
    """A teacher of each region, which has learnt wrong labels elsewhere."""
    data, found = regions(seed), []
    for number in range(REGIONS):
        y = torch.where(data.region == number, data.y, (data.y + 1 + number % 2) % CLASSES)
        found.append(trained(perceptron(32, seed + number), data, ~data.test_mask, y=y, seed=seed))
    return found


def without_test(data: Data) -> Data:
    """The rows of training and validation alone, where a teacher has learnt labels; test rows are new to a student."""
    rows = ~data.test_mask
    return Data(**{name: data[name][rows] for name in ("x", "y", "region", "train_mask", "val_mask")})


def mixed_up(data: Data, share: float, seed: int) -> Tensor:
    """Labels of which a share is drawn at random."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(CLASSES, data.y.shape, generator=generator)
    return torch.where(torch.rand(data.y.shape, generator=generator) < share, drawn, data.y)


@cache
def one_good(seed: int) -> list[nn.Module]:
    """A teacher that knows its subject between two that have learnt wrong labels."""
    data, shifts = regions(seed), (1, 0, 2)
    labels = [(data.y + shift) % CLASSES for shift in shifts]
    models = [perceptron(32, seed + shift) for shift in shifts]
    return [trained(model, data, ~data.test_mask, y=y, seed=seed) for model, y in zip(models, labels, strict=True)]


@cache
def of_noise(seed: int, share: float = 0.5, count: int = 3) -> list[nn.Module]:
    """Teachers of labels of which a share is mixed up, for each in another way."""
    data = regions(seed)
    rows = ~data.test_mask
    labels = [mixed_up(data, share, 100 * seed + number) for number in range(count)]
    return [trained(perceptron(32, seed + k), data, rows, y=y, seed=seed) for k, y in enumerate(labels)]


def score(method: str, data: Data, teacher: Any, seed: int, *, width: int = 16, **options: Any) -> float:
    """Train a perceptron of a width, or ``student``, by a method -> its accuracy on test rows, in %.

    seen: what it is trained on, by default the data.
    """
    made = None if method == "guided_search" else perceptron(width, seed + 50)
    student, seen = options.pop("student", made), options.pop("seen", data)
    given = {"epochs": 60, "seed": seed, "hidden": HIDDEN, "progress": False} | options
    return accuracy(graphkd.distil(method, student, teacher, seen, **given).model, data)
