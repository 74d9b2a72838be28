"""Born-again networks: who teaches whom, what is shuffled, and all generations as one."""

from __future__ import annotations

import copy

import pytest
import torch

from graphkd import Cached, Distiller, fit
from graphkd.core.ensemble import Ensemble
from graphkd.losses import CE, SoftCE
from graphkd.schemes import Together, born_again, shuffle_others, soft_target
from graphkd.tasks import accuracy
from tests.core.models import gcn, graph

HARD = CE(where="train_mask")


def same(one, other):
    found = other.state_dict()
    return all(torch.equal(value, found[name]) for name, value in one.state_dict().items())


def test_each_generation_learns_from_the_one_before():
    data, seen = graph(), []
    first, second, third = born_again(gcn(1), None, data, lambda k: seen.append(k) or gcn(k), epochs=4)
    assert seen == [2, 3]
    want = [copy.deepcopy(fit(Distiller(gcn(1), losses=HARD), data, epochs=4))]
    for k in (2, 3):
        want.append(fit(Distiller(gcn(k), Cached(want[-1]), SoftCE()), data, epochs=4))
    for got, model in zip((first, second, third), want, strict=True):
        assert same(got, model)


@pytest.mark.parametrize("kind", ["kd", "cwtm", "dkpp"])
def test_kinds(kind):
    data, teacher = graph(), fit(Distiller(gcn(9), losses=HARD), graph(), epochs=20)
    models = born_again(gcn(1), teacher, data, gcn, kind=kind, generations=2, label_weight=0.5, epochs=30)
    assert len(models) == 2
    for model, before in zip(models, (gcn(1), gcn(2)), strict=True):
        assert _entropy(model, data) < _entropy(before, data)


def _entropy(model, data):
    return CE()(model(data.x, data.edge_index)[data.train_mask], y=data.y[data.train_mask]).detach().item()


def test_all_but_the_first_are_shuffled():
    torch.manual_seed(0)
    logits = torch.tensor([[0.1, 5.0, 0.2, 0.3], [9.0, 1.0, 2.0, 3.0], [0.0, 0.0, 0.0, 0.0]])
    seen = torch.stack([shuffle_others(logits) for _ in range(60)])
    assert torch.equal(seen.argmax(dim=2)[:, :2], logits.argmax(dim=1)[:2].expand(60, -1))
    assert torch.equal(seen.sort(dim=2).values, logits.sort(dim=1).values.expand(60, -1, -1))
    assert {tuple(row[[0, 2, 3]].tolist()) for row in seen[:, 0]} == {
        tuple(logits[0, list(order)].tolist())
        for order in ((0, 2, 3), (0, 3, 2), (2, 0, 3), (2, 3, 0), (3, 0, 2), (3, 2, 0))
    }


def test_all_generations_are_one_model():
    data, models = graph(), [gcn(1).eval(), gcn(2).eval()]
    together = Together(models)
    want = (sum(model(data.x, data.edge_index).softmax(dim=1) for model in models) / 2).log()
    torch.testing.assert_close(together(data.x, edge_index=data.edge_index), want)
    torch.testing.assert_close(Ensemble(models, soft_target)(data)["logits"], want.detach())
    twin = copy.deepcopy(together)
    assert accuracy(twin, data) == accuracy(together, data)
    assert len(list(twin.parameters())) == 8


def test_arguments():
    with pytest.raises(ValueError, match="'generations' must be at least 1, got 0"):
        born_again(gcn(), None, graph(), gcn, generations=0)
    with pytest.raises(ValueError, match=r"'kind' must be one of \('kd', 'cwtm', 'dkpp'\), got 'best'"):
        born_again(gcn(), None, graph(), gcn, kind="best")
    with pytest.raises(ValueError, match="'models' must hold one at least, got none"):
        Together([])
