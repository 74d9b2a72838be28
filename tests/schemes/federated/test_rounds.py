"""The rounds: what clients receive, learn and send, and every method on a graph of thirty nodes."""

from __future__ import annotations

import copy

import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.nn import MLP

from graphkd import Distiller, fit
from graphkd.losses import CE
from graphkd.schemes.federated import METHODS, Client, Federation, average_states, fedftg
from graphkd.schemes.federated.method import seed_of
from tests.core.models import CLASSES, FEATURES, gcn, graph

PUBLIC, PARTS = torch.arange(0, 10), (torch.arange(10, 18), torch.arange(18, 23), torch.arange(23, 30))
SHORT = {"local": {"epochs": 3}, "distil": {"epochs": 4}}
LOGITS = ("fedmd", "fedmd-probabilities", "era", "cronus", "cfd", "mhat", "fedgems")
ONE_ARCHITECTURE = ("fedavg", "fedbe", "fedgkd", "fedntd", "fedssd", "fedcad")


def part(rows: torch.Tensor) -> Data:
    data = graph().subgraph(rows)
    data.train_mask[:] = True
    return data


def mlp() -> MLP:
    torch.manual_seed(3)
    return MLP([FEATURES, 5, CLASSES], norm=None)


def clients(mixed=False):
    models = [gcn(0), mlp() if mixed else gcn(1), gcn(2, width=4) if mixed else gcn(2)]
    return [Client(model, part(rows)) for model, rows in zip(models, PARTS, strict=True)]


def federation(name, mixed=False, **options):
    return Federation(METHODS[name](), clients(mixed), part(PUBLIC), gcn(5, width=12), **{**SHORT, **options})


def weights(models):
    return [{name: tensor.clone() for name, tensor in model.state_dict().items()} for model in models]


def apart(one, other):
    return max(float((a[name] - b[name]).abs().max()) for a, b in zip(one, other, strict=True) for name in a)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_learns_and_repeats(name):
    runs = [federation(name, mixed=name in LOGITS).run(2, progress=False) for _ in range(2)]
    before = weights([client.model for client in clients(mixed=name in LOGITS)])
    first, second = (weights(models) for models in runs)
    assert apart(first, second) == 0
    assert apart(first, before) > 1e-3
    assert all(bool(tensor.isfinite().all()) for state in first for tensor in state.values())
    assert not any(model.training for model in runs[0])


def test_fedavg_is_the_mean_of_what_clients_learn():
    task, start = federation("fedavg", seed=7), copy.deepcopy(gcn(0))
    ends = task.run(1, progress=False)
    states = []
    for who, rows in enumerate(PARTS):
        model = copy.deepcopy(start)
        data = part(rows)
        fit(Distiller(model, losses=CE(where="train_mask")), data, epochs=3, seed=seed_of(7, "learn", 0, who))
        states.append(model.state_dict())
    want = average_states(states, [8, 5, 7])
    assert apart(weights(ends), [want] * 3) == 0


def test_who_learns_first_does_not_matter():
    one, other = federation("fedmd", mixed=True), federation("fedmd", mixed=True)
    for task, order in ((one, (0, 1, 2)), (other, (2, 0, 1))):
        for who in order:
            task.participants[who].learn(0)
    assert apart(*(weights([client.model for client in task.clients]) for task in (one, other))) == 0


@pytest.mark.parametrize("name", ONE_ARCHITECTURE)
def test_weights_of_different_models_cannot_be_averaged(name):
    with pytest.raises(ValueError, match="must have one architecture, got 3"):
        federation(name, mixed=True)


def test_feddf_fuses_different_models():
    task = federation("feddf", mixed=True)
    models = task.run(2, progress=False)
    assert len(task.serving.globals) == 3
    assert apart(weights(models), weights(task.serving.globals)) == 0


@pytest.mark.parametrize("name", ["fedmd", "feddf"])
def test_clients_come_to_agree_on_public_rows(name):
    def spread(models):
        with torch.no_grad():
            logits = torch.stack([m(**call(m)).log_softmax(1) for m in models])
        return float((logits - logits.mean(dim=0)).abs().mean())

    def call(model):
        public = part(PUBLIC)
        return {"x": public.x} if isinstance(model, MLP) else {"x": public.x, "edge_index": public.edge_index}

    task = federation(name, mixed=True, distil={"epochs": 60})
    task.receive(0)
    for who in range(3):
        task.participants[who].learn(0)
    before = spread([client.model for client in task.clients])
    task.serve(0)
    task.receive(1)
    assert spread([client.model for client in task.clients]) < 0.5 * before


def test_targets_are_means_of_logits_or_of_probabilities():
    for name in ("fedmd", "fedmd-probabilities"):
        task = federation(name, mixed=True)
        answers = torch.stack([participant.send()["answers"] for participant in task.participants])
        task.serve(0)
        want = answers.mean(0) if name == "fedmd" else answers.softmax(-1).mean(0).log()
        torch.testing.assert_close(task.serving.target, want)


def test_a_participant_goes_on_from_its_state():
    one, other = federation("fedgkd"), federation("fedgkd")
    for task in (one, other):
        task.receive(0)
        task.participants[0].learn(0)
        task.receive(1)
    fresh = federation("fedgkd").participants[0]
    fresh.load_state_dict(other.participants[0].state_dict())
    for participant in (one.participants[0], fresh):
        participant.learn(1)
    assert apart(weights([one.clients[0].model]), weights([fresh.client.model])) == 0


def test_fedgkd_is_taught_by_the_mean_of_the_last_models():
    task = federation("fedgkd")
    task.run(2, progress=False)
    for participant in task.participants:
        assert len(participant.past) == 3
        assert apart(participant.past[-1:], weights(task.serving.globals)) == 0


def test_fedftg_needs_no_public_rows():
    task = Federation(fedftg(CLASSES, rows=8, steps=2), clients(), local={"epochs": 2})
    averaged = Federation(METHODS["fedavg"](), clients(), local={"epochs": 2})
    one, other = (weights(each.run(1, progress=False)) for each in (task, averaged))
    assert apart(one, other) > 1e-4
    assert apart(one, weights(task.serving.globals * 3)) == 0


def test_what_is_missing_is_told():
    for name, public, server, message in (
        ("feddf", None, None, "give 'public', got None"),
        ("fedmd", None, None, "give 'public', got None"),
        ("mhat", part(PUBLIC), None, "give 'server', got None"),
    ):
        with pytest.raises(ValueError, match=message):
            Federation(METHODS[name](), clients(), public, server)
    with pytest.raises(ValueError, match="'clients' must hold one at least"):
        Federation(METHODS["fedavg"](), [])
    with pytest.raises(ValueError, match="labelled public rows"):
        Federation(METHODS["fedssd"](), clients(), None, **SHORT).run(1, progress=False)
