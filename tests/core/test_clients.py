"""Clients: what they hold, and what is refused."""

from __future__ import annotations

import copy

import pytest
import torch

from graphkd import Clients
from graphkd.core.card import described
from graphkd.tasks import NodeClassification
from tests.core.models import gcn, graph
from tests.methods.scene import parts


def test_they_are_a_sequence_of_data():
    data = [graph(), graph()]
    clients = Clients(data)
    assert len(clients) == 2
    assert clients[1] is data[1]
    assert list(clients) == data
    assert clients.first is data[0]
    assert Clients([parts(graph())]).first.num_nodes == 10


def test_every_client_has_data_and_a_model():
    with pytest.raises(ValueError, match="'data' must be that of one client at least, got none"):
        Clients([])
    with pytest.raises(ValueError, match="'students' must be a model of each of the 2 clients, got 1"):
        Clients([graph(), graph()], [gcn(0)])


def test_the_data_are_checked_and_models_copied():
    ids = graph()
    ids.train_mask = ids.train_mask.nonzero()[:, 0]
    given = Clients([graph(), ids], [gcn(0), gcn(1)])
    found = given.prepared(NodeClassification())
    assert found[0] is given[0]
    assert torch.equal(found[1].train_mask, graph().train_mask)
    assert all(one is not other for one, other in zip(found.students, given.students, strict=True))
    del ids.y
    with pytest.raises(ValueError, match=r"node classification needs \['y'\]"):
        given.prepared(NodeClassification())


def test_a_card_tells_them_apart():
    other = graph()
    other.x[0] += 1
    cards = [described(Clients([graph(), data])) for data in (graph(), copy.copy(graph()), other)]
    assert cards[0] == cards[1] != cards[2]
    assert described(Clients([graph()], [gcn(0)])) != described(Clients([graph()], [gcn(0, width=3)]))


def test_a_part_that_some_clients_lack_is_the_mean_of_the_others():
    empty, task, model = graph(), NodeClassification(), gcn(0)
    empty.test_mask = torch.zeros_like(empty.test_mask)
    alone = task.scores(model, graph())
    assert Clients([graph(), empty]).scores(task, model) == {"val": alone["val"], "test": alone["test"]}
