"""Born-again networks: who teaches whom, what is shuffled, and all generations as one."""

from __future__ import annotations

import copy

import pytest
import torch

import graphkd
from graphkd import Cached, Distiller, fit
from graphkd.core.adam import adam
from graphkd.core.ensemble import Ensemble
from graphkd.core.models import reset_parameters
from graphkd.losses import CE, SoftCE
from graphkd.schemes import Together, shuffle_others, soft_target
from graphkd.tasks import accuracy
from tests.core.models import gcn, graph

HARD = CE(where="train_mask")


def same(one, other):
    found = other.state_dict()
    return all(torch.equal(value, found[name]) for name, value in one.state_dict().items())


def unchosen():
    """A graph on which the last epoch is kept."""
    data = graph()
    del data.val_mask
    return data


ADAM = adam(lr=0.01, weight_decay=5e-4)


def test_each_generation_learns_from_the_one_before():
    """The second and third start from weights of their own, of the seed."""
    data = unchosen()
    got = graphkd.distil("ban_ensemble", gcn(1), None, data, epochs=4, progress=False).model
    want = [copy.deepcopy(fit(Distiller(gcn(1), losses=HARD), data, epochs=4, optimizer=ADAM))]
    for k in (2, 3):
        model = gcn(1)
        torch.manual_seed(1000 * k)
        reset_parameters(model)
        want.append(fit(Distiller(model, Cached(want[-1]), SoftCE()), data, epochs=4, optimizer=ADAM))
    for one, model in zip(got.models, want, strict=True):
        assert same(one, model)


@pytest.mark.parametrize("name", ["ban", "ban_cwtm", "ban_dkpp"])
def test_kinds(name):
    data, teacher = graph(), fit(Distiller(gcn(9), losses=HARD), graph(), epochs=20)
    options = {"generations": 2, "label_weight": 0.5, "epochs": 30, "progress": False}
    model = graphkd.distil(name, gcn(1), teacher, data, **options).model
    assert _entropy(model, data) < _entropy(gcn(1), data)


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
        graphkd.distil("ban", gcn(), None, graph(), generations=0)
    with pytest.raises(ValueError, match=r"'kind' must be one of \('kd', 'cwtm', 'dkpp'\), got 'best'"):
        graphkd.distil("ban", gcn(), None, graph(), kind="best")
    with pytest.raises(ValueError, match="'models' must hold one at least, got none"):
        Together([])
