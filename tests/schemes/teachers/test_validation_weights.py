"""Weights of teachers: their slope by finite differences, and who ends with none."""

from __future__ import annotations

import copy

import pytest
import torch

from graphkd import Frozen, fit
from graphkd.losses import CE, KL, FitNet, LogEuclidean
from graphkd.schemes import ValidationWeights, quizzed, validated_student
from graphkd.schemes.meta import logits_with
from tests.core.models import gcn, graph

TAPS = {"hidden": ("convs.0", ["convs.0", "convs.0"])}


def wide(data):
    return data.apply(lambda value: value.double() if value.is_floating_point() else value)


def test_the_slope_of_the_risk_is_that_of_finite_differences():
    data = quizzed(wide(graph()))
    student, teachers = gcn(1).double(), [gcn(2).double(), gcn(3).double()]
    task = ValidationWeights(student, teachers, KL(2.0), rate=0.7).double()
    with torch.no_grad():
        task.scores.copy_(torch.tensor([0.3, -0.4]))
    task(data).loss.backward()

    def risk(scores):
        own = copy.deepcopy(student)
        named = dict(own.named_parameters())
        s, w = logits_with(own, data), scores.softmax(dim=0)
        known = [Frozen(teacher)(data)["logits"] for teacher in teachers]
        rows = data.train_mask
        inner = torch.nn.functional.cross_entropy(s[rows], data.y[rows])
        inner = inner + sum(w[k] * KL(2.0)(s, known[k]) for k in range(2))
        slopes = torch.autograd.grad(inner, list(named.values()))
        pilot = {name: p - 0.7 * g for (name, p), g in zip(named.items(), slopes, strict=True)}
        out = logits_with(own, data, pilot)[data.quiz_mask]
        return float(torch.nn.functional.cross_entropy(out, data.y[data.quiz_mask]).detach())

    base, step = task.scores.detach(), 1e-5
    for k in range(2):
        shift = step * torch.eye(2, dtype=torch.float64)[k]
        want = (risk(base + shift) - risk(base - shift)) / (2 * step)
        assert float(task.scores.grad[k]) == pytest.approx(want, rel=1e-5)
        assert want != 0


def test_the_student_s_gradient_is_that_of_the_weighted_sum():
    data = quizzed(wide(graph()))
    student, teachers = gcn(1).double(), [gcn(2).double(), gcn(3).double()]
    task = ValidationWeights(student, teachers, KL(2.0)).double()
    step = task(data)
    got = torch.autograd.grad(step.loss, list(student.parameters()))
    s = student(data.x, data.edge_index)
    total = CE()(s[data.train_mask], y=data.y[data.train_mask])
    total = total + sum(0.5 * KL(2.0)(s, Frozen(teacher)(data)["logits"]) for teacher in teachers)
    torch.testing.assert_close(step.loss, total)
    torch.testing.assert_close(got, torch.autograd.grad(total, list(student.parameters())))
    assert set(step.terms) == {"labels", "risk", "taught_0", "taught_1", "weight_0", "weight_1"}


def test_a_teacher_that_lies_loses_its_weight():
    data = graph()
    good = fit_on_all(data)
    liar = copy.deepcopy(good)
    with torch.no_grad():
        liar.convs[1].lin.weight.neg_()
        liar.convs[1].bias.neg_()
    task = ValidationWeights(gcn(2), [good, liar], KL(2.0))
    assert task.weights().tolist() == [0.5, 0.5]
    fit(task, quizzed(data, 0.4), epochs=60)
    assert task.weights()[0] > 0.6
    assert float(task.weights().sum().detach()) == pytest.approx(1.0)


def fit_on_all(data):
    from graphkd import Distiller

    return fit(Distiller(gcn(5, width=32), losses=CE()), data, epochs=100)


@pytest.mark.parametrize(
    "loss", [LogEuclidean(), FitNet(4, 8), KL(2.0) + 0.1 * FitNet(4, 8)], ids=["log", "fit", "sum"]
)
def test_any_loss_will_do(loss):
    data, student, teachers = graph(), gcn(1, width=4), [gcn(2), gcn(3)]
    before = [p.clone() for p in student.parameters()]
    found = validated_student(student, teachers, data, loss, taps=TAPS, epochs=3)
    assert found is student
    assert any(not torch.equal(one, p) for one, p in zip(before, student.parameters(), strict=True))
    assert not any(model.convs[0]._forward_hooks for model in (student, *teachers))


def test_wrong_arguments():
    with pytest.raises(ValueError, match="'teachers' must hold one at least, got none"):
        ValidationWeights(gcn(1), [], KL())
