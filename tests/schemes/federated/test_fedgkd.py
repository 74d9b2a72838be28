"""FedGKD: clients are taught by the mean of the last global models."""

from __future__ import annotations

import copy

import torch

from graphkd import Distiller, fit
from graphkd.losses import CE, KL
from graphkd.schemes.federated import Client, Participant, average_states
from graphkd.schemes.federated._messages import pack_state, seed_of
from graphkd.schemes.federated.fedgkd import rule
from tests.core.models import gcn
from tests.schemes.federated.scene import PARTS, apart, part, weights


def participant() -> Participant:
    return Participant(0, Client(gcn(0), part(PARTS[0])), rule(history=2), local={"epochs": 3}, distil={})


def test_the_teacher_is_the_mean_of_the_last_models():
    side, sent = participant(), [gcn(seed) for seed in (4, 5, 6)]
    for number, model in enumerate(sent):
        side.receive(number, pack_state(model))
    side.learn(2)
    known, student = copy.deepcopy(sent[0]), copy.deepcopy(sent[2])
    known.load_state_dict(average_states([weights(model) for model in sent[1:]]))
    loss = CE(where="train_mask") + 0.1 * KL(where="train_mask")
    fit(Distiller(student, known, loss), part(PARTS[0]), epochs=3, seed=seed_of(0, "learn", 2, 0))
    assert apart(side.client.model, student) == 0


def test_a_participant_goes_on_from_its_state():
    one, other = participant(), participant()
    for number in range(2):
        one.receive(number, pack_state(gcn(number)))
    other.load_state_dict(one.state_dict())
    for side in (one, other):
        side.learn(1)
    assert apart(one.client.model, other.client.model) == 0
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())
