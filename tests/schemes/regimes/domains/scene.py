"""Two domains of the same classes, labels in the first alone, and what a method makes of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

import graphkd
from datasets.digits import digits, turned
from tests.schemes.regimes.scene import accuracy, net


@cache
def images() -> Data:
    """All digits; their pixels are read once."""
    return digits()


def turned_digits(seed: int, *, degrees: float = 20.0) -> tuple[Data, Tensor]:
    """200 labelled images as they are, and 200 others turned, of which nothing else is known."""
    chosen = torch.randperm(images().num_nodes, generator=torch.Generator().manual_seed(seed))[:400]
    domain = torch.arange(400) // 200
    x, y = images().x[chosen], images().y[chosen]
    x = torch.cat([x[:200], turned(x[200:], degrees)])
    return Data(x=x, y=y, train_mask=domain == 0, test_mask=domain > 0), domain


def turned_blobs(seed: int, *, targets: int = 1, by: float = 0.15, shift: float = 0.0) -> tuple[Data, Tensor]:
    """200 labelled rows of a source, and as many of each target, turned in all their features and shifted."""
    draw = partial(torch.randn, generator=torch.Generator().manual_seed(seed))
    domain = torch.arange(200 * (1 + targets)) // 200
    y = torch.arange(len(domain)) % 4
    x = draw(4, 16)[y] + 0.8 * draw(len(y), 16)
    for target in range(1, targets + 1):
        ways = draw(16, 16)
        turned = x[domain == target] @ torch.linalg.matrix_exp(by * (ways - ways.t()))
        x[domain == target] = turned + shift * draw(16)
    return Data(x=x, y=y, train_mask=domain == 0, test_mask=domain > 0), domain


def evenly_turned(seed: int, *, angle: float = 0.9, classes: int = 8) -> tuple[Data, Tensor]:
    """200 labelled rows of a source, and as many of a target, turned by one angle in every plane of eight at random.

    With angles drawn at random, as in ``turned_blobs``, some targets are as the source and others beyond all help.
    """
    draw = partial(torch.randn, generator=torch.Generator().manual_seed(seed))
    y, target = torch.arange(400) % classes, torch.arange(400) >= 200
    x = draw(classes, 16)[y] + 0.8 * draw(400, 16)
    planes = torch.linalg.qr(draw(16, 16))[0]
    turn = torch.zeros(16, 16)
    turn[range(0, 16, 2), range(1, 16, 2)] = angle
    x[target] = x[target] @ planes @ torch.linalg.matrix_exp(turn - turn.t()) @ planes.t()
    return Data(x=x, y=y, train_mask=~target, test_mask=target), target.long()


def styled(seed: int, *, shift: float, spread: float, classes: int = 8) -> tuple[Data, Tensor]:
    """200 labelled rows of a source, and as many of a target, moved in features that say nothing about the class."""
    draw = partial(torch.randn, generator=torch.Generator().manual_seed(seed))
    y, target = torch.arange(400) % classes, torch.arange(400) >= 200
    x = draw(classes, 16)[y] + spread * draw(400, 16)
    style = 0.5 * draw(400, 16)
    style[target] += shift * draw(16).sign()
    return Data(x=torch.cat([x, style], dim=1), y=y, train_mask=~target, test_mask=target), target.long()


moved_blobs = partial(turned_blobs, by=0.0, shift=1.5)
Made = Callable[[int], tuple[Data, Tensor]]


def student(seed: int, data: Data) -> nn.Module:
    return net(data.num_features, 32, int(data.y.max()) + 1, seed=seed)


def trained(seed: int, data: Data, method: str = "none", teacher: Any = None, **settings: Any) -> nn.Module:
    """A student of this seed, by a method."""
    options = {"hidden": "lins.0", "epochs": 80, "seed": seed, "progress": False, **settings}
    return graphkd.distil(method, student(seed, data), teacher, data, **options).model


def gain(method: str, made: Made, seed: int, *, taught: bool = False, **settings: Any) -> float:
    """What a method gives in the target beyond a student of the source's labels, in %.

    taught: by a model of the source of another seed.
    """
    data, domains = made(seed)
    teacher = trained(seed + 500, data) if taught else None
    found = trained(seed, data, method, teacher, domains=domains, **settings)
    return accuracy(found, data) - accuracy(trained(seed, data), data)
