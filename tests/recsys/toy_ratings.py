"""Toy ratings, and models of them."""

from __future__ import annotations

import torch

from recsys.data.ratings import Ratings
from recsys.models.ratings import AutoRec, BiasedMF

USERS, ITEMS = 12, 9


def ratings(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    pairs = torch.randperm(USERS * ITEMS, generator=generator)[:count]
    users, items = pairs // ITEMS, pairs % ITEMS
    return Ratings(users, items, torch.where((users + items) % 2 == 0, 1.0, -1.0))


def mf(seed=0, **options):
    torch.manual_seed(seed)
    model = BiasedMF(USERS, ITEMS, 3, std=0.5, **options)
    for table in (model.user_bias, model.item_bias):
        torch.nn.init.normal_(table.weight)
    return model


def autoencoder(seed=0):
    torch.manual_seed(seed)
    return AutoRec(ITEMS, (4,))
