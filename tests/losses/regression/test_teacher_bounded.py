"""Regression bounded by the teacher's error: the formula, one node and one output at a time."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch

from graphkd.losses import TeacherBounded, bounded_error, is_bounded, smooth_l1, teacher_bounded
from tests.kernels.graphs import normal
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import NODES, STUDENT, TARGETS, TEACHER, assert_value
from tests.losses.regression.scene import Net, distilled, rows
from tests.losses.scene import SAME_WIDTH


def squared(one, other):
    return sum((float(a) - float(b)) ** 2 for a, b in zip(one, other, strict=True))


def huber(gap):
    return gap * gap / 2 if abs(gap) < 1 else abs(gap) - 0.5


@pytest.mark.parametrize("margin", [0.0, 0.2, -1.0])
def test_teacher_bounded(margin):
    smooth = sum(huber(float(STUDENT[i, k] - TARGETS[i, k])) for i in NODES for k in range(3)) / 5
    active = [squared(STUDENT[i], TARGETS[i]) + margin > squared(TEACHER[i], TARGETS[i]) for i in NODES]
    bounded = sum(squared(STUDENT[i], TARGETS[i]) for i in NODES if active[i]) / 5
    assert {True, False} == set(active)
    assert is_bounded(STUDENT, TEACHER, TARGETS, margin).tolist() == active
    assert_value(smooth_l1(STUDENT, TARGETS), smooth)
    assert_value(bounded_error(STUDENT, TEACHER, TARGETS, margin), bounded)
    assert_value(teacher_bounded(STUDENT, TEACHER, TARGETS, nu=0.3, margin=margin), smooth + 0.3 * bounded)
    assert_value(TeacherBounded(0.3, margin)(STUDENT, TEACHER, y=TARGETS), smooth + 0.3 * bounded)


def test_wrong_targets():
    with pytest.raises(ValueError, match=r"'y' must have the shape of the outputs, \(5, 3\), got \(5,\)"):
        teacher_bounded(STUDENT, TEACHER, TARGETS[:, 0])


def numbers(graph, width):
    return {"y": normal(graph.num_nodes, width, dtype=torch.float64, seed=9)}


def error(student, teacher, batch):
    return (student - batch["y"]).square().sum()


class TestTeacherBounded(Behaviour):
    cases: ClassVar = {
        "TeacherBounded": Case(TeacherBounded, facts=numbers, distance=error, refused_width=SAME_WIDTH),
    }


def test_by_name_it_learns_and_never_the_teacher_s_answers():
    data = rows()
    found = [distilled("teacher_bounded", Net(2), Net(seed), data, epochs=5).history[0]["loss"] for seed in (1, 3)]
    student = Net(2)(data["x"])
    for seed, loss in zip((1, 3), found, strict=True):
        want = teacher_bounded(student, Net(seed)(data["x"]), data["y"])
        assert loss == pytest.approx(float(want.detach()), rel=1e-5)
