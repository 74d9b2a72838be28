"""MetaDistil: the step of the pilot, and that the teacher learns from the quiz and nothing else."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import graphkd
from graphkd.core.batches import changed
from graphkd.losses import cross_entropy, kl
from graphkd.schemes import MetaDistil, Turns, metadistil_loss, pilot_step
from graphkd.schemes.teachers.metadistil import Turn
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


def quizzed(data):
    """With every third labelled row in the quiz."""
    rows = data.train_mask.nonzero()[::3, 0]
    quiz = torch.zeros_like(data.train_mask).index_fill(0, rows, True)
    return changed(data, learnt=data.train_mask & ~quiz, quiz=quiz)


def made(student, teacher, **settings):
    return MetaDistil(student, teacher, where="learnt", quiz="quiz", **settings)


def test_the_quiz_teaches_the_teacher_as_finite_differences_say():
    data = quizzed(graph().apply(lambda t: t.double() if t.is_floating_point() else t))
    student, teacher = gcn(1, width=3).double(), gcn(2, width=3).double()
    task = made(student, teacher, rate=0.5, steps=2)
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
    task = made(gcn(1), gcn(2))
    step = task(Turn(data, False))
    step.loss.backward()
    assert all(p.grad is None for p in task.teacher.parameters())
    assert all(p.grad is not None for p in task.student.parameters())
    assert list(step.terms) == ["student"]
    assert [turn.for_teacher for turn in Turns(data)] == [True, False]
    assert len(Turns([data, data])) == len(list(Turns([data, data]))) == 4


def test_rows_of_neither_learn_soft_targets_alone():
    data = quizzed(graph())
    task = made(gcn(1), gcn(2), alpha=0.3, soft="kl", temperature=2.0)
    task.student.eval()
    got = task(Turn(data, False)).loss
    s, t = (model.eval()(data.x, data.edge_index) for model in (task.student, task.teacher))
    learnt, others = data.learnt, ~data.train_mask
    want = metadistil_loss(s[learnt], t[learnt], data.y[learnt], 2.0, alpha=0.3, soft="kl")
    torch.testing.assert_close(got, want + 0.3 * kl(s[others], t[others], 2.0))


def test_both_learn():
    data, student, teacher, seen = graph(), gcn(1), gcn(2), []
    graphkd.distil("metadistil", student, teacher, data, epochs=30, soft="kl", temperature=2.0, log=seen.append)
    assert seen[-1]["student"] < seen[0]["student"]
    assert seen[-1]["quiz"] < seen[0]["quiz"]


def test_the_quiz_is_a_share_of_the_labelled_rows():
    masks = []

    class Watched(Turns):
        def __init__(self, data):
            masks.extend([data.learnt, data.quiz])
            super().__init__(data)

    from graphkd.schemes.teachers import metadistil

    data = graph()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metadistil, "Turns", Watched)
        graphkd.distil("metadistil", gcn(1), gcn(2), data, share=0.3, epochs=1)
    learnt, quiz = masks
    assert int(quiz.sum()) == 3
    assert torch.equal(learnt | quiz, data.train_mask)
    assert not (learnt & quiz).any()
    with pytest.raises(ValueError, match="'share' must leave some of 10 labelled rows on both sides"):
        graphkd.distil("metadistil", gcn(1), gcn(2), data, share=0.99, epochs=1)


def test_an_optimizer_that_is_asked_for_takes_the_place_of_both_rates():
    data, student, teacher = graph(), gcn(1), gcn(2)
    still = graphkd.distil("metadistil", student, teacher, data, epochs=3, lr=0.0, teacher_lr=0.0).model
    assert all(torch.equal(one, other) for one, other in zip(still.parameters(), student.parameters(), strict=True))
    moved = graphkd.distil(
        "metadistil", student, teacher, data, epochs=3, lr=0.0, optimizer=lambda p: torch.optim.SGD(p, lr=0.1)
    ).model
    assert not all(torch.equal(one, other) for one, other in zip(moved.parameters(), student.parameters(), strict=True))


def test_steps_are_counted():
    with pytest.raises(ValueError, match="'steps' must be at least 1, got 0"):
        made(nn.Linear(1, 1), nn.Linear(1, 1), steps=0)
