"""Several models as one: what it takes, and what it answers."""

from __future__ import annotations

import inspect

import pytest
import torch
from torch import nn
from torch_geometric.nn import MLP

from graphkd.core.view import Viewer
from graphkd.schemes import Together
from tests.core.models import CLASSES, FEATURES, gcn, graph


def test_models_of_one_signature_keep_it():
    models, data = [gcn(0).eval(), gcn(1).eval()], graph()
    together = Together(models)
    assert inspect.signature(together.forward) == inspect.signature(models[0].forward)
    want = torch.stack([model(data.x, data.edge_index).softmax(dim=1) for model in models]).mean(dim=0).log()
    torch.testing.assert_close(together(data.x, data.edge_index), want)


@pytest.mark.parametrize("turned", [False, True])
def test_each_model_gets_what_it_asks_for(turned):
    data, models = graph(), [MLP([FEATURES, 4, CLASSES], norm=None).eval(), gcn(1).eval()]
    want = torch.stack([models[0](data.x), models[1](data.x, data.edge_index)]).softmax(dim=-1).mean(dim=0).log()
    together = Together(models[::-1] if turned else models).eval()
    torch.testing.assert_close(Viewer(together)(data)["logits"], want)
    torch.testing.assert_close(together(data.x, data.edge_index), want)


def test_what_one_model_must_have_is_asked_for():
    class Optional(nn.Module):
        def forward(self, scale=None, x=None):
            return x

    class Needed(nn.Module):
        def forward(self, x):
            return {"logits": 2 * x}

    together, x = Together([Optional(), Needed()]), torch.randn(3, 2)
    assert list(inspect.signature(together.forward).parameters) == ["x", "scale"]
    torch.testing.assert_close(together(x), torch.stack([x, 2 * x]).softmax(dim=-1).mean(dim=0).log())
    with pytest.raises(TypeError, match="missing a required argument: 'x'"):
        together()
    with pytest.raises(ValueError, match="'models' must hold one at least, got none"):
        Together([])
