"""Through a frozen classifier: the formula, one number at a time."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import pytest
import torch

from graphkd import Ensemble
from graphkd.losses import SRRL, softmax_regression, srrl
from graphkd.losses.features.srrl import srrl_method
from tests.core.models import gcn
from tests.kernels.graphs import normal
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import NODES, STUDENT, TEACHER, WIDE_TEACHER, assert_value, dot
from tests.losses.features.test_kd4mtl import WIDER
from tests.losses.methods import problem, trained
from tests.losses.scene import SAME_WIDTH

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


def test_the_method_reads_the_teachers_last_layer():
    given = problem()
    loss = srrl_method(given, regression=0.5).losses[1]
    assert torch.equal(loss.weight, given.teacher.model.convs[1].lin.weight)
    assert loss.regression == 0.5


def test_a_teacher_without_such_a_layer():
    with pytest.raises(ValueError, match=r"'srrl' needs a weight .* of shape \(3, 3\), GCN has none"):
        trained("srrl", hidden="convs.1")
    with pytest.raises(ValueError, match=r"'srrl' cannot take an Ensemble .*: it reads the weights of the teacher's"):
        trained("srrl", teacher=Ensemble([gcn(2, width=16), gcn(3, width=16)]))


class TestSRRL(Behaviour):
    cases: ClassVar = {
        "SRRL": Case(partial(SRRL, CLASSIFIER), at_teacher="zero", refused_width=SAME_WIDTH),
        "SRRL_connector": Case(
            partial(SRRL, normal(2, 4, dtype=torch.float64, seed=5), 3), widths=(3, 4), refused_width=WIDER
        ),
    }
