"""A student of numbers without data."""

from __future__ import annotations

import torch
from torch import nn

import graphkd
from graphkd import fit
from graphkd.losses import disagreement
from graphkd.schemes import DataFreeRegression, FakeTurn, FakeTurns
from graphkd.tasks import Regression


class Net(nn.Module):
    def __init__(self, seed, width=8):
        super().__init__()
        torch.manual_seed(seed)
        self.first, self.last = nn.Linear(4, width), nn.Linear(width, 1)

    def forward(self, x):
        return self.last(self.first(x).relu())


def rows(seed=0, count=60, **more):
    x = torch.randn(count, 4, generator=torch.Generator().manual_seed(seed))
    return {"x": x, "y": x[:, :1] - x[:, 1:2].abs(), **more}


def made(seed=3):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 4))


def test_a_generator_plays_against_a_constant_student():
    data, student, teacher, generator = rows(), Net(2), Net(1), made()
    task = DataFreeRegression(student, teacher, generator, noise=5, size=0.1, output=0.2, standardise=False)
    torch.manual_seed(0)
    step = task(FakeTurn(data, True))
    torch.manual_seed(0)
    x = generator(torch.randn(60, 5))
    torch.testing.assert_close(step.loss, disagreement(student(x), teacher(x), x, size=0.1, output=0.2))
    step.loss.backward()
    assert all(p.grad is None for model in (student, teacher) for p in model.parameters())
    assert generator[0].weight.grad.any()


def test_the_student_learns_made_rows_first_and_normal_ones_later():
    data, student, generator = rows(), Net(2), made()
    task = DataFreeRegression(student, Net(1), generator, noise=5)
    shares = []
    for epoch in range(4):
        task.set_epoch(epoch, 4)
        shares.append(task.share)
        step = task(FakeTurn(data, False))
        want = task.share * step.terms["made"] + (1 - task.share) * step.terms["normal"]
        torch.testing.assert_close(step.loss.detach(), want)
    assert shares == [1.0, 0.75, 0.5, 0.25]
    step.loss.backward()
    assert all(p.grad is None for p in generator.parameters())
    assert [turn.for_generator for turn in FakeTurns(data, 3)] == [False, False, False, True]


def test_a_student_without_data():
    data, teacher, generator = rows(), Net(1), made()
    blind = {"x": torch.zeros(60, 4)}
    student = fit(DataFreeRegression(Net(2, 16), teacher, generator, noise=5), FakeTurns(blind, 5), epochs=40)
    want = teacher(data["x"])
    assert (student(data["x"]) - want).square().mean() < 0.1 * want.var()


def test_the_method_does_not_look_at_features_or_labels():
    data, teacher = rows(), Net(1)
    options = {"task": Regression(), "epochs": 3, "progress": False, "steps": 2}
    blind = {"x": torch.zeros(60, 4), "y": torch.zeros(60)}
    found = [graphkd.distil("data_free_regression", Net(2), teacher, given, **options) for given in (data, blind)]
    weights = [result.model.first.weight for result in found]
    assert torch.equal(*weights)
    assert {"made", "normal", "generator"} < set(found[0].history[0])
