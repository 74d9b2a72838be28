"""Students that answer numbers: the discriminator's two parts, and a student without data."""

from __future__ import annotations

import copy
from functools import partial

import pytest
import torch
from torch import nn

from graphkd import Distiller, fit
from graphkd.losses.adversarial import discrimination, fooling
from graphkd.schemes.regression import AdversarialHint, data_free_regression
from tests.kernels.graphs import normal


def test_student_sees_the_discriminator_constant_and_the_discriminator_the_features():
    student, teacher = (normal(6, 3, dtype=torch.float64, seed=seed).requires_grad_() for seed in (0, 1))
    torch.manual_seed(0)
    judge = nn.Linear(3, 1).double()
    value = AdversarialHint(discriminator=judge)(student, teacher)
    ours, theirs = judge(student).flatten(), judge(teacher).flatten()
    torch.testing.assert_close(value, fooling(ours) + discrimination(ours, theirs))
    found = torch.autograd.grad(value, (student, *judge.parameters()))
    want = torch.autograd.grad(fooling(ours), student, retain_graph=True)
    want += torch.autograd.grad(discrimination(ours, theirs), tuple(judge.parameters()))
    torch.testing.assert_close(found, want)
    with pytest.raises(ValueError, match="give 'width' or 'discriminator', one of them"):
        AdversarialHint()


class Rows(nn.Module):
    """A table of features, to be moved."""

    def __init__(self, rows: torch.Tensor) -> None:
        super().__init__()
        self.rows = nn.Parameter(rows)

    def forward(self) -> dict[str, torch.Tensor]:
        return {"hidden": self.rows}


def test_features_move_towards_the_teachers():
    teacher, student = (Rows(normal(64, 2, dtype=torch.float32, seed=seed) + mean) for seed, mean in ((1, 3), (2, 0)))
    torch.manual_seed(0)
    task = Distiller(student, teacher, AdversarialHint(2))
    fit(task, {"n": 64}, epochs=40, progress=False, optimizer=partial(torch.optim.Adam, lr=0.05))
    assert all(0.5 < mean < 3.5 for mean in student.rows.detach().mean(dim=0).tolist())


def net(hidden: int, seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, hidden), nn.Tanh(), nn.Linear(hidden, 1))


class Named(nn.Module):
    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


def test_student_without_data_answers_as_its_teacher_does():
    teacher, student = Named(net(16, 0)), Named(net(8, 1))
    before, kept, state = copy.deepcopy(student), copy.deepcopy(teacher.state_dict()), torch.get_rng_state()
    options = {"rounds": 40, "lr": 6e-3, "rows": 64, "seed": 0}
    found = data_free_regression(student, teacher, 4, **options)
    assert found is student
    assert not student.training
    assert torch.equal(torch.get_rng_state(), state)
    x = normal(500, 4, dtype=torch.float32, seed=9)
    with torch.no_grad():
        errors = [float((model(x) - teacher(x)).square().mean()) for model in (before, student)]
        spread = float(teacher(x).var())
    assert errors[1] < 0.1 * spread < errors[0]
    assert all(torch.equal(value, kept[name]) for name, value in teacher.state_dict().items())
    assert all(p.grad is None for p in teacher.parameters())
    again = data_free_regression(copy.deepcopy(before), teacher, 4, **options)
    assert torch.equal(again.layers[0].weight, student.layers[0].weight)
