"""Toy rows of clicks, and what trains a net on them."""

from __future__ import annotations

from functools import partial

import torch

from graphkd import fit
from recsys.data.rows import Field, RowBatches, Rows
from recsys.models.clicks import ClickNet

FIELDS = {"user": Field(20), "item": Field(15), "tags": Field(6, sequence=True)}


def toy(count=240, seed=0):
    generator = torch.Generator().manual_seed(seed)
    draw = partial(torch.randint, generator=generator)
    user, item, tags = draw(1, 20, (count,)), draw(1, 15, (count,)), draw(0, 6, (count, 3))
    y = ((user % 3 + item % 2 + torch.rand(count, generator=generator)) > 1.5).float()
    columns = {"user": user, "item": item, "tags": tags, "y": y}
    ids = torch.arange(count)
    return Rows(columns, FIELDS, ids[:160], ids[160:200], ids[200:])


def net(seed=0, width=3, hidden=(8,)):
    torch.manual_seed(seed)
    return ClickNet(FIELDS, width, hidden)


def train(task, rows, epochs=3, lr=0.02, **options):
    batches = RowBatches(rows, rows.train, batch_size=32)
    adam = partial(torch.optim.Adam, lr=lr)
    return fit(task, batches, epochs=epochs, optimizer=adam, progress=False, **options)
