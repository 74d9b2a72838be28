"""FedDF: its loss by the formula, and what clients come to."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch

from graphkd.schemes.federated import clients_kl
from graphkd.schemes.federated.feddf import recipe
from tests.losses.example import CLASSES, NODES, STUDENT, assert_value, softmax
from tests.schemes.federated.answers import TEACHERS, WEIGHTS
from tests.schemes.federated.scene import apart, run


@pytest.mark.parametrize("average", ["logits", "probabilities", "losses"])
def test_clients_kl(average):
    shares = [float(weight) / 8 for weight in WEIGHTS]

    def divergence(p, i):
        q = softmax(STUDENT[i])
        return sum(p[c] * math.log(p[c] / q[c]) for c in CLASSES)

    total = 0.0
    for i in NODES:
        each = [softmax(teacher[i]) for teacher in TEACHERS]
        if average == "losses":
            total += sum(share * divergence(p, i) for share, p in zip(shares, each, strict=True))
            continue
        rows = each if average == "probabilities" else [teacher[i].tolist() for teacher in TEACHERS]
        mean = [sum(share * float(row[c]) for share, row in zip(shares, rows, strict=True)) for c in CLASSES]
        total += divergence(mean if average == "probabilities" else softmax(mean), i)
    assert_value(clients_kl(STUDENT, TEACHERS, weights=WEIGHTS, average=average), total / 5)
    with pytest.raises(ValueError, match="'average' must be one of"):
        clients_kl(STUDENT, TEACHERS, average="votes")


@pytest.mark.parametrize("name", ["feddf", "feddf-probabilities"])
def test_the_average_is_moved_towards_what_clients_say(name):
    fused, averaged = run(name, rounds=1).model, run("fedavg", rounds=1).model
    assert 1e-4 < apart(fused, averaged) < 1


def test_different_models_are_fused_and_serve_together():
    found = run("feddf", mixed=True)
    assert [type(model).__name__ for model in found.model.models] == ["GCN", "MLP", "GCN"]
    assert {report["stage"] for report in found.history} >= {f"round-1-server-{kind}" for kind in range(3)}


def test_the_average_is_of_logits_or_probabilities():
    with pytest.raises(ValueError, match=r"'average' must be one of .*, got 'votes'"):
        run("feddf", average="votes")


def test_the_server_trains_by_the_paper_s_recipe_unless_it_is_told_otherwise():
    options = recipe(8)
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.ones(1))], lr=options["lr"])
    schedule, rates = options["scheduler"](optimizer), []
    for _ in range(9):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([1e-3 * (1 + math.cos(math.pi * step / 8)) / 2 for step in range(9)])
    assert options["clip"] == 5.0
    faster = partial(torch.optim.Adam, lr=0.05)
    assert apart(run("feddf", rounds=1).model, run("feddf", rounds=1, optimizer=faster).model) > 1e-3
