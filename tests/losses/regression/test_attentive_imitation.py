"""Attentive imitation and hints: the formulas, one node at a time."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch
from torch import nn

from graphkd import Frozen
from graphkd.losses import (
    AttentiveHint,
    AttentiveImitation,
    attentive_hint,
    attentive_imitation,
    error_range,
    imitation_weights,
)
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import NODES, STUDENT, TARGETS, TEACHER, WIDE_TEACHER, assert_value
from tests.losses.regression.scene import Net, distilled, rows
from tests.losses.regression.test_teacher_bounded import numbers, squared
from tests.losses.scene import SAME_WIDTH


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
    options = {"error_range": bounds, "clamp": clamp}
    assert_value(attentive_imitation(STUDENT, TEACHER, TARGETS, 0.3, **options), total)
    assert_value(AttentiveImitation(0.3, **options)(STUDENT, TEACHER, y=TARGETS), total)


def test_attentive_hint():
    hidden = WIDE_TEACHER.flip(0)
    weights = shares((0.1, 2.0), clamp=True)
    total = sum(weights[i] * squared(hidden[i], WIDE_TEACHER[i]) for i in NODES) / 5
    assert_value(attentive_hint(hidden, WIDE_TEACHER, TEACHER, TARGETS, error_range=(0.1, 2.0)), total)
    loss = AttentiveHint(error_range=(0.1, 2.0))
    assert_value(loss((hidden, STUDENT), (WIDE_TEACHER, TEACHER), y=TARGETS), total)


def test_a_hint_of_another_width_goes_through_a_linear_map():
    torch.manual_seed(0)
    loss = AttentiveHint(3, WIDE_TEACHER.size(1), error_range=(0.1, 2.0)).double()
    want = attentive_hint(loss.projector(STUDENT), WIDE_TEACHER, TEACHER, TARGETS, error_range=(0.1, 2.0))
    torch.testing.assert_close(loss((STUDENT, STUDENT), (WIDE_TEACHER, TEACHER), y=TARGETS), want)


def test_error_range():
    errors = [squared(TEACHER[i], TARGETS[i]) for i in NODES]
    assert error_range(TEACHER, TARGETS) == pytest.approx((min(errors), max(errors)))
    with pytest.raises(ValueError, match="there must be a labelled row"):
        error_range(TEACHER[:0], TARGETS[:0])


def test_equal_errors_are_imitated():
    assert imitation_weights(TARGETS + 1, TARGETS).tolist() == [1.0] * 5


class TestAttentive(Behaviour):
    cases: ClassVar = {
        "AttentiveImitation": Case(AttentiveImitation, facts=numbers, refused_width=SAME_WIDTH),
        "AttentiveHint": Case(AttentiveHint, facts=numbers, refused_width=SAME_WIDTH),
    }


# ------------------------------------------------------------- the methods
@pytest.mark.parametrize("width", [8, 5])
def test_hints_then_answers(width):
    data, student = rows(), Net(2, width)
    before = float((student(data["x"]) - data["y"]).square().mean().detach())
    result = distilled("attentive_hint", student, Net(1), data, alpha=0.7, epochs=60)
    terms = {report["stage"]: set(report) for report in result.history}
    assert "attentivehint" in terms["hint"]
    assert "attentiveimitation" in terms["answers"]
    assert float((result.model(data["x"]) - data["y"]).square().mean().detach()) < before


def test_the_range_is_that_of_labelled_rows():
    """A loss of the first step, with the bounds of the rows whose label is known."""
    data, student, teacher = rows(), Net(2), Net(1)
    known = torch.arange(60) < 10
    data["y"] = torch.where(known[:, None], data["y"], torch.nan)
    bounds = error_range(teacher(data["x"])[known], data["y"][known])
    s, t, y = student(data["x"])[known], teacher(data["x"])[known], data["y"][known]
    want = attentive_imitation(s, t, y, 0.5, error_range=bounds)
    result = distilled("attentive_imitation", student, teacher, data, epochs=1)
    assert result.history[0]["loss"] == pytest.approx(float(want.detach()), rel=1e-5)


def test_rows_that_the_teacher_gets_wrong_teach_by_their_label():
    """The teacher is right on most rows and far off on one half of them."""
    data = rows(count=200)
    liar = data["x"][:, 2] > 0
    said = torch.where(liar[:, None], data["y"] + 6, data["y"])
    teacher = Frozen(nn.Identity(), call=lambda _, batch: said)
    found = []
    for alpha in (0.5, 0.0):
        student = distilled("attentive_imitation", Net(2, 32), teacher, data, alpha=alpha, epochs=150).model
        errors = (student(data["x"]) - data["y"]).square()[liar].mean()
        found.append(float(errors.detach()))
    assert found[0] < 0.5
    assert found[0] < found[1]  # without labels those rows have no teacher at all
