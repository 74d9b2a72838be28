"""Two inputs of the same rows: a student sees the worse and few labels, its teacher the better and many."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import MLP

import graphkd
from graphkd.core.loss import Loss
from graphkd.losses import CE
from tests.schemes.regimes.scene import accuracy, net

CLASSES, WIDTH, HIDDEN = 6, 24, 16
sees_other = lambda model, batch: model(batch["other"])  # noqa: E731
sees_own = lambda model, batch: model(batch["x"])  # noqa: E731


def two_views(seed: int, labels: int = 3) -> Data:
    """Rows that two inputs show: ``other`` as they are, ``x`` under what has nothing to do with them."""
    draw = partial(torch.randn, generator=torch.Generator().manual_seed(seed))
    place = torch.arange(400)
    y = place % CLASSES
    shared, beside = draw(CLASSES, 6)[y] + 0.5 * draw(400, 6), 2 * draw(400, 8)
    return Data(
        x=shared @ draw(6, WIDTH) / 2 + beside @ draw(8, WIDTH) / 3 + 0.2 * draw(400, WIDTH),
        other=shared @ draw(6, WIDTH) / 2 + 0.2 * draw(400, WIDTH),
        y=y,
        train_mask=place < labels * CLASSES,
        test_mask=place >= 200,
    )


def of_the_other(seed: int, data: Data) -> MLP:
    """A model of the other input, with labels of all rows but those of test."""
    known = data.clone()
    known.train_mask = ~data.test_mask
    options = {"epochs": 60, "seed": seed, "progress": False, "call": sees_other}
    return graphkd.distil("none", net(WIDTH, HIDDEN, CLASSES, seed=seed + 500), None, known, **options).model


def reached(method: str, seed: int, data: Data, teacher: Any = None, **settings: Any) -> float:
    """Accuracy of a student of the own input, by a method, in %."""
    calls = (sees_own, sees_other) if isinstance(teacher, nn.Module) else sees_own
    options = {"epochs": 80, "seed": seed, "progress": False, "hidden": "lins.0", "call": calls, **settings}
    found = graphkd.distil(method, net(WIDTH, HIDDEN, CLASSES, seed=seed), teacher, data, **options)
    return accuracy(found.model, data)


def shuffled(data: Data, entry: str, seed: int) -> Data:
    """The data with another row's entry beside each row."""
    other = data.clone()
    rows: Tensor = other[entry]
    other[entry] = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))]
    return other


def found_again(seed: int, weight: float, matching: Callable[[], Loss]) -> float:
    """How many test rows are nearest, by their embedding, to the teacher's of a row of their class, in %."""
    data = two_views(seed, labels=15)
    teacher = of_the_other(seed, data)
    torch.manual_seed(seed)
    loss = CE(where="train_mask") + weight * matching()
    options = {"epochs": 80, "seed": seed, "progress": False, "hidden": "lins.0", "call": (sees_own, sees_other)}
    student = graphkd.distil(loss, net(WIDTH, HIDDEN, CLASSES, seed=seed), teacher, data, **options).model
    with torch.no_grad():
        own, other = student.lins[0](data.x[data.test_mask]), teacher.lins[0](data.other[data.test_mask])
    nearest = (F.normalize(own) @ F.normalize(other).t()).argmax(dim=1)
    y = data.y[data.test_mask]
    return 100 * float((y[nearest] == y).float().mean())
