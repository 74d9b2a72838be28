"""Clients that learn alone."""

from __future__ import annotations

import torch

from graphkd import Distiller, fit
from graphkd.losses import CE
from graphkd.schemes.federated._messages import seed_of
from tests.core.models import graph
from tests.schemes.federated.scene import PARTS, answer, apart, models, part, run


def test_every_client_learns_from_its_own_rows_and_all_answer_together():
    found = run("alone", mixed=True, rounds=1, seed=2).model
    for who, (model, rows) in enumerate(zip(models(), PARTS, strict=True)):
        fit(Distiller(model, losses=CE(where="train_mask")), part(rows), epochs=3, seed=seed_of(2, "learn", 0, who))
        assert apart(found.models[who], model) == 0
    data = graph()
    want = torch.stack([answer(model, data) for model in found.models]).exp().mean(dim=0).log()
    torch.testing.assert_close(found(x=data.x, edge_index=data.edge_index).detach(), want)
