"""Through a frozen classifier, to a task's teacher, for old classes: the formulas, one number at a time."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import pytest
import torch

from graphkd.losses import KD4MTL, SRRL, CentredLogits, centred_logits, kd4mtl, softmax_regression, srrl
from tests.kernels.graphs import normal
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import NODES, STUDENT, TEACHER, WIDE_TEACHER, assert_value, dot
from tests.losses.test_response import WIDTH

CLASSIFIER = normal(2, 3, dtype=torch.float64, seed=5)


def test_srrl():
    matched = sum((float(STUDENT[i, k]) - float(TEACHER[i, k])) ** 2 for i in NODES for k in range(3)) / 15
    answers = sum((dot(row, STUDENT[i]) - dot(row, TEACHER[i])) ** 2 for i in NODES for row in CLASSIFIER) / 10
    assert_value(softmax_regression(STUDENT, TEACHER, CLASSIFIER), answers)
    assert_value(srrl(STUDENT, TEACHER, CLASSIFIER, regression=0.5), matched + 0.5 * answers)
    assert_value(SRRL(CLASSIFIER, regression=0.5)(STUDENT, TEACHER), matched + 0.5 * answers)


def test_srrl_connects_other_widths():
    loss = SRRL(normal(2, 5, dtype=torch.float64, seed=5), 3).double()
    assert [name for name, _ in loss.named_parameters()] == ["connector.weight", "connector.bias"]
    connected = loss.connector(STUDENT)
    torch.testing.assert_close(loss(STUDENT, WIDE_TEACHER), srrl(connected, WIDE_TEACHER, loss.weight))


@pytest.mark.parametrize("eps", [1e-6, 0.5])
def test_kd4mtl(eps):
    total = 0.0
    for i in NODES:
        s, t = ([float(x) / (dot(row, row) + eps) ** 0.5 for x in row] for row in (STUDENT[i], TEACHER[i]))
        total += sum((a - b) ** 2 for a, b in zip(s, t, strict=True)) / 5
    assert_value(kd4mtl(STUDENT, TEACHER, eps=eps), total)
    assert_value(KD4MTL(eps=eps)(STUDENT, TEACHER), total)
    adapted = KD4MTL(3, 5, eps=eps).double()
    assert [name for name, _ in adapted.named_parameters()] == ["adapter.weight"]
    torch.testing.assert_close(adapted(STUDENT, WIDE_TEACHER), kd4mtl(adapted.adapter(STUDENT), WIDE_TEACHER, eps=eps))


@pytest.mark.parametrize(("classes", "count"), [(None, 3), (2, 2)])
def test_centred_logits(classes, count):
    student, total = WIDE_TEACHER.flip(0), 0.0
    for i in NODES:
        s, t = ([float(x) for x in side[i, :count]] for side in (student, TEACHER))
        gaps = [(a - sum(s) / count) - (b - sum(t) / count) for a, b in zip(s, t, strict=True)]
        total += sum(gap**2 for gap in gaps) / (5 * count)
    assert_value(centred_logits(student, TEACHER, classes), total)
    assert_value(CentredLogits(classes)(student, TEACHER), total)


def test_old_classes_that_are_not_there():
    with pytest.raises(ValueError, match="the old classes, 5, must be among those of both sides, got 3 and 5"):
        centred_logits(STUDENT, WIDE_TEACHER)
    with pytest.raises(ValueError, match="the old classes, 0, must be"):
        centred_logits(STUDENT, TEACHER, 0)


WIDER = r"'teacher' must be as wide as 'student' \(4\), got 5"
OLD = "the old classes, 4, must be among those of both sides, got 3 and 4"


class TestTransfer(Behaviour):
    cases: ClassVar = {
        "SRRL": Case(partial(SRRL, CLASSIFIER), at_teacher="zero", refused_width=WIDTH),
        "SRRL_connector": Case(
            partial(SRRL, normal(2, 4, dtype=torch.float64, seed=5), 3), widths=(3, 4), refused_width=WIDER
        ),
        "KD4MTL": Case(KD4MTL, at_teacher="zero", refused_width=WIDTH),
        "KD4MTL_adapter": Case(partial(KD4MTL, 3, 4), widths=(3, 4), refused_width=WIDER),
        "CentredLogits": Case(CentredLogits, at_teacher="zero", refused_width=OLD),
        "CentredLogits_old": Case(partial(CentredLogits, 2)),
    }
