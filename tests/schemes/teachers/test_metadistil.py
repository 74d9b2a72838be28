"""MetaDistil: the step of the pilot, and that the teacher learns from the quiz and nothing else."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from graphkd.losses import cross_entropy, kl
from graphkd.schemes import MetaDistil, Turns, metadistil, metadistil_loss, pilot_step, quizzed
from graphkd.schemes.meta import Turn
from tests.core.models import gcn, graph
from tests.losses.example import CLASSES, LABELS, NODES, STUDENT, TEACHER, assert_value, softmax


def test_metadistil_loss():
    squares = [(softmax(TEACHER[i], 3.0)[c] - softmax(STUDENT[i], 3.0)[c]) ** 2 for i in NODES for c in CLASSES]
    hard = float(cross_entropy(STUDENT, LABELS))
    want = 0.3 * 9 * sum(squares) / len(squares) + 0.7 * hard
    assert_value(metadistil_loss(STUDENT, TEACHER, LABELS, 3.0, alpha=0.3), want)
    want = 0.3 * float(kl(STUDENT, TEACHER, 3.0)) + 0.7 * hard
    assert_value(metadistil_loss(STUDENT, TEACHER, LABELS, 3.0, alpha=0.3, soft="kl"), want)


def test_pilot_step_is_gradient_descent_that_can_be_differentiated():
    """For (p - a)^2 the pilot is p - 2 r (p - a), whose slope in a is 2 r."""
    p, a = (torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (3.0, 1.0))
    other = torch.tensor(5.0, requires_grad=True)
    found = pilot_step((p - a) ** 2, {"p": p, "unused": other}, 0.1)
    assert found["p"].item() == pytest.approx(3 - 0.2 * 2)
    assert found["unused"] is other
    assert float(torch.autograd.grad(found["p"], a)[0]) == pytest.approx(0.2)


def test_the_quiz_teaches_the_teacher_as_finite_differences_say():
    data = quizzed(graph().apply(lambda t: t.double() if t.is_floating_point() else t))
    student, teacher = gcn(1, width=3).double(), gcn(2, width=3).double()
    task = MetaDistil(student, teacher, rate=0.5, steps=2)
    task(Turn(data, True)).loss.backward()
    assert all(p.grad is None for p in student.parameters())
    weight = teacher.convs[1].lin.weight
    slope, values = float(weight.grad[0, 0]), []
    for shift in (1e-5, -2e-5):
        with torch.no_grad():
            weight[0, 0] += shift
        values.append(float(task(Turn(data, True)).loss.detach()))
    assert slope != 0
    assert slope == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-4)


def test_the_student_learns_and_the_teacher_stays_in_its_turn():
    data = quizzed(graph())
    task = MetaDistil(gcn(1), gcn(2))
    step = task(Turn(data, False))
    step.loss.backward()
    assert all(p.grad is None for p in task.teacher.parameters())
    assert all(p.grad is not None for p in task.student.parameters())
    assert list(step.terms) == ["student"]
    assert [turn.for_teacher for turn in Turns(data)] == [True, False]


def test_both_learn_and_the_given_teacher_does_not():
    data, teacher, student = graph(), gcn(2), gcn(1)
    before = copy.deepcopy(teacher.state_dict())
    start = F.cross_entropy(student(data.x, data.edge_index)[data.train_mask], data.y[data.train_mask]).item()
    seen = []
    found = metadistil(student, teacher, data, epochs=30, knobs={"soft": "kl", "temperature": 2.0}, log=seen.append)
    assert found is student
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    end = F.cross_entropy(student(data.x, data.edge_index)[data.train_mask], data.y[data.train_mask]).item()
    assert end < start
    assert seen[-1]["quiz"] < seen[0]["quiz"]


def test_quizzed_moves_rows():
    data = graph()
    found = quizzed(data, 0.3, seed=1)
    assert int(found.quiz_mask.sum()) == 3
    assert torch.equal(found.train_mask | found.quiz_mask, data.train_mask)
    assert not (found.train_mask & found.quiz_mask).any()
    assert "quiz_mask" not in data
    for share in (0.0, 0.99):
        with pytest.raises(ValueError, match="'share' must leave some of 10 rows on both sides"):
            quizzed(data, share)


def test_steps_are_counted():
    with pytest.raises(ValueError, match="'steps' must be at least 1, got 0"):
        MetaDistil(nn.Linear(1, 1), nn.Linear(1, 1), steps=0)
