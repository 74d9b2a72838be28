"""FedBE: models drawn around what clients sent."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from graphkd import Distiller, fit
from graphkd.losses import CE
from graphkd.schemes.federated import sample_state
from graphkd.schemes.federated._averaging import Averaged, cyclic
from tests.core.models import gcn, graph
from tests.kernels.graphs import normal
from tests.losses.example import STUDENT, TEACHER
from tests.schemes.federated.scene import apart, run, weights


def test_sample_state():
    base, clients, noise = normal(2, 3, dtype=torch.float64, seed=0), [STUDENT[:2], TEACHER[:2]], STUDENT[2:4]
    found = sample_state({"w": base}, [{"w": client} for client in clients], {"w": noise}, step=0.5)["w"]
    updates = [client - base for client in clients]
    norms = [math.sqrt(sum(float(u) ** 2 for u in update.flatten())) for update in updates]
    for i, j in itertools.product(range(2), range(3)):
        directions = [float(update[i, j]) / norm for update, norm in zip(updates, norms, strict=True)]
        mean = sum(directions) / 2
        variance = max(sum(d * d for d in directions) / 2 - mean**2, 1e-5)
        want = float(base[i, j]) + 0.5 * sum(norms) / 2 * (mean + 0.1 * math.sqrt(variance) * float(noise[i, j]))
        assert float(found[i, j]) == pytest.approx(want, rel=1e-12)
    still = sample_state({"w": base}, [{"w": base}, {"w": base}], {"w": noise})["w"]
    torch.testing.assert_close(still, base)


def test_drawn_models_answer_too():
    few, many = (run("fedbe", rounds=1, samples=samples).model for samples in (0, 4))
    assert apart(few, many) > 1e-5
    assert apart(many, run("fedbe", rounds=1, samples=4).model) == 0


def test_the_server_ends_with_the_mean_of_the_ends_of_cycles():
    """Of ten epochs in cycles of three, from a third on: those after six, nine and, the last, ten."""
    loss = CE(where="train_mask")
    trained = [fit(Distiller(gcn(0), losses=loss), graph(), epochs=epochs, progress=False) for epochs in (6, 9, 10)]
    want = [weights(model) for model in trained]
    task = Averaged(gcn(0), None, loss, call=None, cycle=3, start=0.34)
    model = fit(task, graph(), epochs=10, progress=False)
    task.settle()
    mean = {name: torch.stack([each[name] for each in want]).mean(dim=0) for name in want[0]}
    assert apart(model, mean) < 1e-6


def test_the_rate_falls_in_every_cycle():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1e-3)
    schedule, rates = cyclic(4, 1e-3, 4e-4)(optimizer), []
    for _ in range(9):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([1e-3, 8e-4, 6e-4, 4e-4, 1e-3, 8e-4, 6e-4, 4e-4, 1e-3])
