"""White-to-black: the net learns which way a white-box attack goes, and goes it in one pass."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import graphkd
from graphkd.core.batches import changed
from graphkd.schemes import AttackNet, OnePassAttack, white_box_directions
from graphkd.tasks import accuracy
from tests.core.models import gcn, graph
from tests.schemes.robust.scene import Linear, blobs

OPTIONS = {"epochs": 60, "progress": False}


class Scores(nn.Module):
    """Embeddings of items, scored for each of two users."""

    def __init__(self, users: Tensor) -> None:
        super().__init__()
        self.users = nn.Parameter(users)

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.users.t()


def test_directions_of_a_linear_model_lead_away_from_what_it_answers():
    generator = torch.Generator().manual_seed(0)
    users, items = (torch.randn(rows, 5, generator=generator) for rows in (2, 9))
    found = white_box_directions(Scores(users), {"x": items}, 0.1)
    away = users[1] - users[0]
    for item, direction in zip(items, found, strict=True):
        sign = 1 if float(item @ away) < 0 else -1
        torch.testing.assert_close(direction, (1 + sign * away.sign()) / 2, atol=1e-5, rtol=0)
    assert torch.equal(white_box_directions(Scores(users), {"x": items}, 0.1, steps=0), torch.full((9, 5), 0.5))
    with pytest.raises(ValueError, match=r"'epsilon' must be positive, got 0\.0"):
        white_box_directions(Scores(users), {"x": items}, 0.0)


def test_a_graph_is_attacked_at_once_and_a_model_stays_as_it_is():
    data, model = graph(), gcn(dropout=0.5).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    one, other = (white_box_directions(model, data, 0.2) for _ in range(2))
    assert torch.equal(one, other)
    assert one.shape == data.x.shape
    assert 0 <= float(one.min()) < 0.1 < 0.9 < float(one.max()) <= 1
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_attack_is_a_step_of_epsilon_before_the_source():
    data, source, net = graph(), gcn().eval(), AttackNet(6, 4)
    served = OnePassAttack(net, source, 0.2)
    x = served.attack(data.x)
    torch.testing.assert_close(x, data.x + 0.2 * net(data.x).sign())
    for view in (served(data.x, data.edge_index), served(edge_index=data.edge_index, x=data.x)):
        assert torch.equal(view["x"], x)
        torch.testing.assert_close(view["logits"], source(x, data.edge_index))
    called = []
    source.register_forward_hook(lambda *_: called.append(1))
    served.attack(data.x)
    assert not called  # one pass of the net alone


def test_the_method_gives_a_net_that_deceives_its_source():
    data = blobs()
    source = graphkd.distil("none", Linear(), None, data, **OPTIONS).model
    result = graphkd.distil("white_to_black", None, source, data, epsilon=0.5, **OPTIONS)
    x = result.model.attack(data["x"])
    torch.testing.assert_close((x - data["x"]).abs(), torch.full_like(x, 0.5))
    assert accuracy(source, data) > 0.85 > 0.2 > accuracy(source, changed(data, x=x))
    assert result.scores["test"]["accuracy"] == accuracy(source, changed(data, x=x))
    assert {report["stage"] for report in result.history} == {"student"}
    assert result.history[-1]["bce"] < 0.1 < result.history[0]["bce"]
    assert all(parameter.requires_grad for parameter in source.parameters())  # a copy of it is in the result


def test_labels_are_not_read():
    data = blobs()
    secret = changed(data, y=1 - data["y"])
    one, other = (
        graphkd.distil("white_to_black", None, Linear(), each, epochs=2, progress=False).model
        for each in (data, secret)
    )
    assert torch.equal(one.net.layers[0].weight, other.net.layers[0].weight)


def test_a_source_that_reads_edges():
    data = graph()
    result = graphkd.distil("white_to_black", None, gcn(), data, epsilon=1.0, inner=32, **OPTIONS)
    plain = gcn().eval()
    view = result.model(data.x, data.edge_index)
    torch.testing.assert_close(view["logits"], plain(result.model.attack(data.x), data.edge_index))
    own = plain(data.x, data.edge_index).argmax(dim=1)
    assert float((view["logits"].argmax(dim=1) == own).float().mean()) < 0.5


def test_what_it_refuses():
    with pytest.raises(ValueError, match="its attack follows gradients through its teacher's model"):
        graphkd.distil("white_to_black", None, graphkd.Ensemble([gcn(), gcn(1)]), graph())
    with pytest.raises(ValueError, match="'epsilon' must be positive"):
        graphkd.distil("white_to_black", None, gcn(), graph(), epsilon=-1.0)
