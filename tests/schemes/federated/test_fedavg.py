"""FedAvg is the mean of what clients learn."""

from __future__ import annotations

import pytest
import torch

import graphkd
from graphkd import Clients, Distiller, fit
from graphkd.losses import CE
from graphkd.schemes.federated import average_states
from graphkd.schemes.federated._messages import seed_of
from tests.core.models import gcn
from tests.schemes.federated.scene import PARTS, SIZES, apart, part, run, weights


def test_it_is_the_mean_of_what_clients_learn():
    states = []
    for who, rows in enumerate(PARTS):
        model = gcn(0)
        fit(Distiller(model, losses=CE(where="train_mask")), part(rows), epochs=3, seed=seed_of(7, "learn", 0, who))
        states.append(weights(model))
    assert apart(run("fedavg", rounds=1, seed=7).model, average_states(states, SIZES)) == 0


def test_one_client_alone_is_its_own_mean():
    options = {"rounds": 1, "local_epochs": 3, "progress": False}
    averaged = graphkd.distil("fedavg", gcn(0), None, Clients([part(PARTS[0])]), **options).model
    alone = graphkd.distil("alone", gcn(0), None, Clients([part(PARTS[0])]), **options).model
    assert apart(averaged, alone.models[0]) == 0


@pytest.mark.parametrize("name", ["fedavg", "fedgkd", "fedntd", "fedbe", "fedssd", "fedcad", "fedftg"])
def test_weights_of_different_models_cannot_be_averaged(name):
    with pytest.raises(ValueError, match="must have one architecture, got 3"):
        run(name, mixed=True)


def test_a_client_without_labels_is_to_be_left_out():
    nothing = part(PARTS[1])
    nothing.train_mask[:] = False
    with pytest.raises(ValueError, match=r"client 1 \(counted from 0\)"):
        graphkd.distil("fedavg", gcn(0), None, Clients([part(PARTS[0]), nothing]), progress=False)


def test_a_message_that_is_not_finite_is_refused():
    from graphkd.schemes.federated import Rule, Server

    server = Server(Rule(), [gcn(0), gcn(0)], distil={})
    messages = [{"size": torch.tensor(1), **server.broadcast(who)} for who in range(2)]
    next(iter(value for name, value in messages[1].items() if name != "size")).fill_(float("nan"))
    with pytest.raises(ValueError, match=r"client 1 .*'weights.convs.0.bias' must be finite, got NaN"):
        server.serve(0, messages)
