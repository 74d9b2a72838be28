"""Weights of teachers: their slope by finite differences, and who ends with none."""

from __future__ import annotations

import copy

import pytest
import torch

import graphkd
from graphkd import Distiller, Frozen, fit
from graphkd.core.batches import changed
from graphkd.losses import CE, KL, FitNet, LogEuclidean
from graphkd.schemes import ValidationWeights
from graphkd.schemes._functional import logits_with
from tests.core.models import gcn, graph

TAPS = {"hidden": ("convs.0", ["convs.0", "convs.0"])}
LABELS, RISK = CE(where="train_mask"), CE(where="held_out")


def split(data):
    """With every third labelled row held out."""
    rows = data.train_mask.nonzero()[::3, 0]
    held = torch.zeros_like(data.train_mask).index_fill(0, rows, True)
    return changed(data, train_mask=data.train_mask & ~held, held_out=held)


def wide(data):
    return data.apply(lambda value: value.double() if value.is_floating_point() else value)


def test_the_slope_of_the_risk_is_that_of_finite_differences():
    data = split(wide(graph()))
    student, teachers = gcn(1).double(), [gcn(2).double(), gcn(3).double()]
    task = ValidationWeights(student, teachers, KL(2.0), LABELS, RISK, rate=0.7).double()
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
        out = logits_with(own, data, pilot)[data.held_out]
        return float(torch.nn.functional.cross_entropy(out, data.y[data.held_out]).detach())

    base, step = task.scores.detach(), 1e-5
    for k in range(2):
        shift = step * torch.eye(2, dtype=torch.float64)[k]
        want = (risk(base + shift) - risk(base - shift)) / (2 * step)
        assert float(task.scores.grad[k]) == pytest.approx(want, rel=1e-5)
        assert want != 0


def test_the_student_s_gradient_is_that_of_the_weighted_sum():
    data = split(wide(graph()))
    student, teachers = gcn(1).double(), [gcn(2).double(), gcn(3).double()]
    task = ValidationWeights(student, teachers, KL(2.0), LABELS, RISK).double()
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
    task = ValidationWeights(gcn(2), [good, liar], KL(2.0), LABELS, RISK)
    assert task.weights().tolist() == [0.5, 0.5]
    fit(task, split(data), epochs=60)
    assert task.weights()[0] > 0.6
    assert float(task.weights().sum().detach()) == pytest.approx(1.0)


def fit_on_all(data):
    return fit(Distiller(gcn(5, width=32), losses=CE(where="all")), data, epochs=100)


@pytest.mark.parametrize(
    "loss", [LogEuclidean(), FitNet(4, 8), KL(2.0) + 0.1 * FitNet(4, 8)], ids=["log", "fit", "sum"]
)
def test_any_loss_will_do(loss):
    data, student, teachers = split(graph()), gcn(1, width=4), [gcn(2), gcn(3)]
    before = [p.clone() for p in student.parameters()]
    found = fit(ValidationWeights(student, teachers, loss, LABELS, RISK, taps=TAPS), data, epochs=3)
    assert found is student
    assert any(not torch.equal(one, p) for one, p in zip(before, student.parameters(), strict=True))
    assert not any(model.convs[0]._forward_hooks for model in (student, *teachers))


def test_its_methods_hold_a_share_of_the_labels_out():
    data, seen = graph(), []
    student, teachers = gcn(1, width=4), [gcn(2), gcn(3, width=6)]
    graphkd.distil("validation_weights", student, teachers, data, share=0.3, epochs=1, log=seen.append)
    s = Frozen(student)(data)["logits"]
    entropies = torch.nn.functional.cross_entropy(s, data.y, reduction="none")[data.train_mask]
    assert seen[0]["labels"] != pytest.approx(float(entropies.mean()), rel=1e-5)  # seven of ten
    answers = [Frozen(teacher)(data)["logits"] for teacher in teachers]
    assert seen[0]["taught_1"] == pytest.approx(float(KL(4.0)(s, answers[1])), rel=1e-5)
    seen.clear()
    graphkd.distil(
        "validation_weights_log", student, teachers, data, hidden="convs.0", weight=2.0, epochs=1, log=seen.append
    )
    features = [model.convs[0](data.x, data.edge_index).detach() for model in (student, teachers[0])]
    assert seen[0]["taught_0"] == pytest.approx(2.0 * float(LogEuclidean(reduction="relative")(*features)), rel=1e-4)


def test_wrong_arguments():
    with pytest.raises(ValueError, match="'teachers' must hold one at least, got none"):
        ValidationWeights(gcn(1), [], KL(), LABELS, RISK)
    with pytest.raises(ValueError, match=r"'share' must leave some of 10 labelled rows on both sides, got 1\.0"):
        graphkd.distil("validation_weights", gcn(1), [gcn(2), gcn(3)], graph(), share=1.0, epochs=1)
