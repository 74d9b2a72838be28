"""Logits with other parameters: where gradients go, however a model is called."""

from __future__ import annotations

import pytest
import torch

from graphkd.schemes._functional import constant_logits, logits_with
from tests.core.models import gcn, graph
from tests.methods import scene


@pytest.mark.parametrize("odd", [False, True])
def test_gradients_go_to_the_parameters_that_are_given(odd):
    data, model, call = graph(), gcn(1), None
    want = model(data.x, data.edge_index)
    if odd:
        model, call = scene.Odd(model), scene.call
    others = {name: (2 * value.detach()).requires_grad_() for name, value in model.named_parameters()}
    assert torch.equal(logits_with(model, data, call=call), want)
    found = logits_with(model, data, others, call=call)
    assert not torch.equal(found, want)
    found.sum().backward()
    assert all(value.grad is not None for value in others.values())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(logits_with(model, data, call=call), want)


def test_gradients_of_constant_logits_go_to_the_batch():
    data, model = graph(), gcn(1)
    data.x.requires_grad_()
    constant_logits(model, data).sum().backward()
    assert data.x.grad.any()
    assert all(parameter.grad is None for parameter in model.parameters())
