"""Clients whose labels are skewed, public rows that all see, and rows to test on."""

from __future__ import annotations

from functools import partial
from statistics import fmean
from typing import Any, NamedTuple

import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import MLP

import graphkd
from graphkd.schemes.federated import dirichlet_parts
from tests.schemes.regimes import scene

CLASSES, WIDTH = 6, 16


class Federation(NamedTuple):
    """What each client holds, what all see, and what models are tested on."""

    clients: list[Data]
    public: Data
    test: Data


def federation(
    seed: int,
    *,
    alpha: float = 0.1,
    clients: int = 4,
    rows: int = 200,
    public: int = 300,
) -> Federation:
    """Rows about a centre each class, ``rows`` of them dealt out by Dirichlet(``alpha``) shares of each class.

    A client that would have none is left out.
    """
    draw = partial(torch.randn, generator=torch.Generator().manual_seed(seed))
    middles = draw(CLASSES, WIDTH)

    def made(count: int) -> Data:
        y, every = torch.arange(count) % CLASSES, torch.ones(count, dtype=torch.bool)
        return Data(x=middles[y] + draw(count, WIDTH), y=y, train_mask=every)

    owned = made(rows)
    parts = [part for part in dirichlet_parts(owned.y, clients, alpha, seed=seed) if part.numel()]
    held = [Data(x=owned.x[part], y=owned.y[part], train_mask=owned.train_mask[part]) for part in parts]
    return Federation(held, made(public), made(600))


def student(seed: int, hidden: int = 32) -> MLP:
    return scene.net(WIDTH, hidden, CLASSES, seed=seed)


ONE_ROUND = {"rounds": 1, "local_epochs": 60}  # in which clients come far from each other
SHORT_ROUNDS = {"rounds": 3, "local_epochs": 12}  # in which they forget what they have no rows of


def run(
    name: str,
    having: Federation,
    seed: int,
    *,
    students: list[nn.Module] | None = None,
    **options: Any,
) -> nn.Module:
    """Run a method by the public door; it gets the public rows if it needs them."""
    row = next(row for row in graphkd.methods(family="federated") if row.name == name)
    given = {"public": having.public} if "public" in row.needs else {}
    clients = graphkd.Clients(having.clients, students=students)
    own = student(seed) if students is None else None
    return graphkd.distil(name, own, None, clients, seed=seed, progress=False, **given, **options).model


def right(model: nn.Module, data: Data) -> float:
    """Accuracy in %, of several models their mean."""
    every = torch.ones_like(data.y, dtype=torch.bool)
    return fmean(scene.accuracy(each, data, every) for each in getattr(model, "models", [model]))
