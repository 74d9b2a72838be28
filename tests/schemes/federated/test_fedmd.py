"""FedMD: its loss by the formula, and clients who come to agree."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch
from torch import nn

from graphkd.schemes.federated import Client, LogitMAE, Participant, Server, logit_mae
from graphkd.schemes.federated.fedmd import rule
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import CLASSES, NODES, STUDENT, TEACHER, assert_value
from tests.schemes.federated.scene import PARTS, answer, apart, models, part, public, run


def test_logit_mae():
    want = sum(abs(float(STUDENT[i, c] - TEACHER[i, c])) for i in NODES for c in CLASSES) / 15
    assert_value(logit_mae(STUDENT, TEACHER), want)
    assert_value(LogitMAE()(STUDENT, TEACHER), want)


class TestFedMD(Behaviour):
    cases: ClassVar = {
        "LogitMAE": Case(
            LogitMAE,
            at_teacher="zero",
            distance=lambda s, t, _: (s - t).abs().sum(),
            refused_width=r"'teacher' must be as wide as 'student' \(3\), got 4",
        ),
    }


def sides(average: str = "logits") -> tuple[Server, list[Participant]]:
    made, options = rule(average), {"distil": {"epochs": 60}}
    pairs = zip(models(), PARTS, strict=True)
    found = [
        Participant(who, Client(model, part(rows)), made, public(), local={"epochs": 3}, **options)
        for who, (model, rows) in enumerate(pairs)
    ]
    return Server(made, public=public(), **options), found


def spread(participants: list[Participant]) -> float:
    logits = torch.stack([answer(side.client.model, public()) for side in participants])
    return float((logits - logits.mean(dim=0)).abs().mean())


def test_clients_come_to_agree_on_public_rows():
    server, participants = sides()
    for side in participants:
        side.learn(0)
    before = spread(participants)
    server.serve(0, [side.send() for side in participants])
    for side in participants:
        side.receive(1, server.broadcast(side.who))
    assert spread(participants) < 0.5 * before


@pytest.mark.parametrize("average", ["logits", "probabilities"])
def test_targets_are_means_of_logits_or_of_probabilities(average):
    server, participants = sides(average)
    messages = [side.send() for side in participants]
    answers = torch.stack([message["answers"] for message in messages])
    server.serve(0, messages)
    logs = answers.softmax(-1).mean(0).log()
    want = answers.mean(0) if average == "logits" else logs - logs.mean(dim=1, keepdim=True)
    torch.testing.assert_close(server.target, want)


def test_who_learns_first_does_not_matter():
    (_, one), (_, other) = sides(), sides()
    for participants, order in ((one, (0, 1, 2)), (other, (2, 0, 1))):
        for who in order:
            participants[who].learn(0)
    first, second = (nn.ModuleList([side.client.model for side in each]) for each in (one, other))
    assert apart(first, second) == 0


def test_two_means_are_two_methods():
    logits, probabilities = (run(name, mixed=True).model for name in ("fedmd", "fedmd-probabilities"))
    assert apart(logits, probabilities) > 1e-5
    assert apart(probabilities, run("fedmd", mixed=True, average="probabilities").model) == 0


def test_clients_learn_public_labels_first_and_revisit_their_own_rows_last():
    found = run("fedmd", mixed=True, transfer=True)
    stages = list(dict.fromkeys(report["stage"] for report in found.history))
    learnt = [f"round-1-client-{who}{end}" for who in (1, 2, 3) for end in ("-transfer", "")]
    last = [*(f"round-3-client-{who}-digest" for who in (1, 2, 3)), *(f"round-3-client-{who}" for who in (1, 2, 3))]
    assert stages[:6] == learnt
    assert stages[-6:] == last
    without = run("fedmd", mixed=True, revisit=False)
    assert not {report["stage"] for report in without.history} & {*learnt[::2], *last[3:]}
    data = public()
    data.y = data.y.clone().fill_(-1)
    with pytest.raises(ValueError, match="needs labelled public rows"):
        run("fedmd", public=data, transfer=True)
