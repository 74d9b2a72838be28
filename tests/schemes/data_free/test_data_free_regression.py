"""Numbers: how far a teacher is trusted, two heads, and a student without data."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from graphkd import Frozen, fit
from graphkd.losses import AttentiveHint, AttentiveImitation, disagreement, outlier_rejection
from graphkd.schemes import (
    DataFreeRegression,
    FakeTurn,
    FakeTurns,
    TaskHeads,
    attentive_student,
    error_range,
    outlier_rejecting_student,
)


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


def test_error_range():
    data, teacher = rows(), Net(1)
    errors = [float((teacher(data["x"][i]) - data["y"][i]).detach()) ** 2 for i in range(60)]
    want = pytest.approx((min(errors), max(errors)), rel=1e-4)
    assert error_range(Frozen(teacher), data) == want
    halves = [{name: value[part] for name, value in data.items()} for part in (slice(30), slice(30, 60))]
    assert error_range(Frozen(teacher), halves) == want
    mask = torch.arange(60) < 10
    some = error_range(Frozen(teacher), {**data, "train_mask": mask}, "train_mask")
    assert some == pytest.approx((min(errors[:10]), max(errors[:10])), rel=1e-4)
    with pytest.raises(ValueError, match="'data' must hold one row to learn from at least"):
        error_range(Frozen(teacher), {**data, "train_mask": mask & ~mask}, "train_mask")


@pytest.mark.parametrize("taps", [None, ("first", "first")])
def test_hints_then_answers(monkeypatch, taps):
    from graphkd.schemes import regression

    data, student, teacher, stages = rows(), Net(2), Net(1), []
    fitted = regression.fit

    def watched(task, batch, **options):
        stages.extend(task.losses)
        return fitted(task, batch, **options)

    monkeypatch.setattr(regression, "fit", watched)
    before = float((student(data["x"]) - data["y"]).square().mean().detach())
    found = attentive_student(student, teacher, data, taps=taps, alpha=0.7, epochs=60)
    assert found is student
    assert [type(loss) for loss in stages] == [AttentiveHint, AttentiveImitation][taps is None :]
    assert all(loss.error_range == error_range(Frozen(teacher), data) for loss in stages)
    assert float((student(data["x"]) - data["y"]).square().mean().detach()) < before


def test_rows_that_the_teacher_gets_wrong_teach_by_their_label():
    """The teacher is right on most rows and far off on one half of them."""
    data = rows(count=200)
    liar = data["x"][:, 2] > 0
    said = torch.where(liar[:, None], data["y"] + 6, data["y"])
    teacher = Frozen(nn.Identity(), call=lambda _, batch: said)
    found = []
    for alpha in (0.5, 0.0):
        student = attentive_student(Net(2, 32), teacher, data, alpha=alpha, epochs=150)
        errors = (student(data["x"]) - data["y"]).square()[liar].mean()
        found.append(float(errors.detach()))
    assert found[0] < 0.5
    assert found[0] < found[1]  # without labels those rows have no teacher at all


def test_two_heads():
    data, teacher = rows(), Net(1)
    y = data["y"].clone()
    y[:6] += 20
    noisy = {**data, "y": y}
    student = TaskHeads(Net(2, 32), "first", {"imitation": nn.Linear(32, 1)})
    view = student(noisy["x"])
    t = Frozen(teacher)(noisy)["logits"]
    want = outlier_rejection(view["logits"], view["imitation"], t, y, threshold=5.0, weight=0.5)
    seen = []
    found = outlier_rejecting_student(student, teacher, noisy, threshold=5.0, epochs=150, log=seen.append)
    assert found is student
    assert seen[0]["loss"] == pytest.approx(float(want.detach()), rel=1e-5)
    left = (student(data["x"])["logits"] - data["y"]).square()[6:].mean()
    assert left < 0.3  # 20 too much in a tenth of the rows would cost 4 at least
    assert (student(data["x"])["imitation"] - t).square().mean() < 0.1 * t.var()


def made(seed=3):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 4))


def test_a_generator_plays_against_a_constant_student():
    data, student, teacher, generator = rows(), Net(2), Net(1), made()
    task = DataFreeRegression(student, teacher, generator, noise=5, size=0.1, output=0.2)
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
