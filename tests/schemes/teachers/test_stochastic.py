"""Sub-networks of one teacher: what is drawn, and what stays."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import graphkd
from graphkd import Frozen
from graphkd.core.rng import seeded
from graphkd.losses import cross_entropy, kl
from graphkd.schemes import Stochastic, drop_edges, soft_target
from tests.core.models import CLASSES, FEATURES, gcn, graph


class Normed(nn.Module):
    """Batch norm, then dropout."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.norm, self.last, self.drop = nn.BatchNorm1d(FEATURES), nn.Linear(FEATURES, CLASSES), nn.Dropout(0.5)

    def forward(self, x):
        return self.last(self.drop(self.norm(x)))


def test_every_call_is_another_sub_network():
    data, model = graph(), gcn(1, dropout=0.5).eval()
    model.convs[1].train()
    modes = [module.training for module in model.modules()]
    teacher = Stochastic(model)
    torch.manual_seed(0)
    one, other = teacher(data)["logits"], teacher(data)["logits"]
    assert not torch.equal(one, other)
    torch.manual_seed(0)
    assert torch.equal(teacher(data)["logits"], one)
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(Frozen(model)(data)["logits"], Frozen(gcn(1))(data)["logits"])


def test_without_chance_it_is_the_teacher():
    data, model = graph(), gcn(1)
    assert torch.equal(Stochastic(model)(data)["logits"], Frozen(model)(data)["logits"])
    torch.manual_seed(0)
    assert not torch.equal(Stochastic(model, change=drop_edges)(data)["logits"], Frozen(model)(data)["logits"])


def test_statistics_of_batch_norm_stay():
    data, model = graph(), Normed()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    Stochastic(model)(data)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    model.drop.p = 0.0
    assert torch.equal(Stochastic(model)(data)["logits"], Frozen(model)(data)["logits"])


def test_a_call_of_one_s_own():
    data, model = graph(), gcn(1, dropout=0.5)
    torch.manual_seed(0)
    want = Stochastic(model)(data)["logits"]
    torch.manual_seed(0)
    got = Stochastic(model, call=lambda one, batch: one(batch["x"], batch["edge_index"]))(data)["logits"]
    assert torch.equal(got, want)


def test_the_target_is_their_mean_softened_answer():
    data, student, model, seen = graph(), gcn(2), gcn(1, dropout=0.5), []
    settings = {"members": 3, "temperature": 2.0, "label_weight": 0.3}
    graphkd.distil("stochastic", student, model, data, epochs=1, log=seen.append, **settings)
    s, rows = Frozen(student)(data)["logits"], data.train_mask
    with seeded(0):
        drawn = torch.stack([Stochastic(model)(data)["logits"] for _ in range(3)])
    want = 0.3 * cross_entropy(s[rows], data.y[rows]) + 0.7 * kl(s, soft_target(drawn, 2.0), 2.0)
    assert seen[0]["loss"] == pytest.approx(float(want), rel=1e-5)
    with pytest.raises(ValueError, match="'members' must be at least 1, got 0"):
        graphkd.distil("stochastic", student, model, data, members=0, epochs=1)
