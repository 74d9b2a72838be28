"""Regression with a teacher that may be wrong: the formulas, one node and one output at a time."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import pytest
import torch

from graphkd.losses import (
    AttentiveHint,
    AttentiveImitation,
    OutlierRejection,
    TeacherBounded,
    attentive_hint,
    attentive_imitation,
    bounded_error,
    disagreement,
    imitation_weights,
    is_bounded,
    is_inlier,
    outlier_rejection,
    smooth_l1,
    teacher_bounded,
)
from tests.kernels.graphs import normal
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import NODES, STUDENT, TARGETS, TEACHER, WIDE_TEACHER, assert_value
from tests.losses.test_response import WIDTH


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


def test_outlier_rejection():
    other = STUDENT.flip(0)
    kept = [squared(TEACHER[i], TARGETS[i]) ** 0.5 <= 1.5 for i in NODES]
    total = sum(kept[i] * squared(STUDENT[i], TARGETS[i]) + 0.3 * squared(other[i], TEACHER[i]) for i in NODES) / 5
    assert {True, False} == set(kept)
    assert is_inlier(TEACHER, TARGETS, 1.5).tolist() == kept
    assert_value(outlier_rejection(STUDENT, other, TEACHER, TARGETS, threshold=1.5, weight=0.3), total)
    assert_value(OutlierRejection(1.5, 0.3)((STUDENT, other), (STUDENT, TEACHER), y=TARGETS), total)


def shares(bounds, clamp):
    errors = [squared(TEACHER[i], TARGETS[i]) for i in NODES]
    low, high = bounds or (min(errors), max(errors))
    weights = [1 - e / (high - low) for e in errors]
    return [max(w, 0.0) for w in weights] if clamp else weights


@pytest.mark.parametrize("bounds", [None, (0.1, 2.0)])
@pytest.mark.parametrize("clamp", [True, False])
def test_attentive_imitation(bounds, clamp):
    weights = shares(bounds, clamp)
    torch.testing.assert_close(
        imitation_weights(TEACHER, TARGETS, bounds, clamp=clamp), torch.tensor(weights, dtype=torch.float64)
    )
    total = 0.0
    for i in NODES:
        total += 0.3 * squared(STUDENT[i], TARGETS[i]) / 5 + 0.7 * weights[i] * squared(STUDENT[i], TEACHER[i]) / 5
    knobs = {"error_range": bounds, "clamp": clamp}
    assert_value(attentive_imitation(STUDENT, TEACHER, TARGETS, 0.3, **knobs), total)
    assert_value(AttentiveImitation(0.3, **knobs)(STUDENT, TEACHER, y=TARGETS), total)


def test_attentive_hint():
    hidden = WIDE_TEACHER.flip(0)
    weights = shares((0.1, 2.0), clamp=True)
    total = sum(weights[i] * squared(hidden[i], WIDE_TEACHER[i]) for i in NODES) / 5
    assert_value(attentive_hint(hidden, WIDE_TEACHER, TEACHER, TARGETS, error_range=(0.1, 2.0)), total)
    loss = AttentiveHint(error_range=(0.1, 2.0))
    assert_value(loss((hidden, STUDENT), (WIDE_TEACHER, TEACHER), y=TARGETS), total)


def test_equal_errors_are_imitated():
    assert imitation_weights(TARGETS + 1, TARGETS).tolist() == [1.0] * 5


def test_disagreement():
    made = WIDE_TEACHER
    total = -sum(squared(STUDENT[i], TEACHER[i]) for i in NODES) / 15
    total += 0.1 * sum(squared(made[i], made[i] * 0) for i in NODES) / 5
    total += 0.01 * sum(squared(STUDENT[i], STUDENT[i] * 0) for i in NODES) / 15
    assert_value(disagreement(STUDENT, TEACHER, made, size=0.1, output=0.01), total)


def test_wrong_targets():
    with pytest.raises(ValueError, match=r"'y' must have the shape of the outputs, \(5, 3\), got \(5,\)"):
        teacher_bounded(STUDENT, TEACHER, TARGETS[:, 0])


# ---------------------------------------------------------------- behaviour
def numbers(graph, width):
    return {"y": normal(graph.num_nodes, width, dtype=torch.float64, seed=9)}


def error(student, teacher, batch):
    return (student - batch["y"]).square().sum()


class TestRegression(Behaviour):
    cases: ClassVar = {
        "TeacherBounded": Case(TeacherBounded, facts=numbers, distance=error, refused_width=WIDTH),
        "OutlierRejection": Case(partial(OutlierRejection, 3.0), facts=numbers, refused_width=WIDTH),
        "AttentiveImitation": Case(AttentiveImitation, facts=numbers, refused_width=WIDTH),
        "AttentiveHint": Case(AttentiveHint, facts=numbers, refused_width=WIDTH),
    }
