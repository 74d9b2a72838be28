"""Models that can be made anew have the law that they were made with."""

from __future__ import annotations

import pytest
import torch

from graphkd.core.models import reset_parameters
from recsys.models import MF, LightGCN
from recsys.models.ratings import BiasedMF
from tests.methods import recommenders


@pytest.mark.parametrize(
    "make",
    [
        lambda: MF(300, 200, 20, std=0.03),
        lambda: LightGCN(recommenders.split().train, 20),
        lambda: BiasedMF(300, 200, 20),
        lambda: recommenders.net(0, 30, (50,)),
    ],
)
def test_a_model_made_anew_is_like_a_new_one(make):
    torch.manual_seed(0)
    model = make()
    tables = {name: p.detach().clone() for name, p in model.named_parameters() if p.numel() > 1000 or "_bias" in name}
    reset_parameters(model)
    for name, before in tables.items():
        after = model.get_parameter(name).detach()
        assert float(after.std()) == pytest.approx(float(before.std()), rel=0.1, abs=1e-12), name
        assert bool(before.any()) != torch.equal(after, before), name  # zeros stay zeros
