"""FedSSD and FedCAD: how far a global model is trusted, one row at a time."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import pytest
import torch

from graphkd.schemes.federated import SelectiveKD, class_credibility, confusion_shares, selective_distillation
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import CLASSES, LABELS, NODES, STUDENT, TEACHER, assert_value, softmax
from tests.schemes.federated.scene import apart, public, run

CONFUSION = torch.tensor([[0.8, 0.2, 0.0], [0.1, 0.6, 0.3], [0.3, 0.2, 0.5]], dtype=torch.float64)


def test_class_credibility():
    confusion = torch.tensor([[0.7, 0.2, 0.1], [0.0, 0.9, 0.1], [0.5, 0.1, 0.4]], dtype=torch.float64)
    weights, total = class_credibility(TEACHER, LABELS, confusion, highest=2.0, threshold=0.05), 0.0
    for i in NODES:
        for c in CLASSES:
            taken = max(float(confusion[j, c]) for j in CLASSES if j != c)
            trust = float(confusion[c, c]) * (1 - taken) * softmax(TEACHER[i])[LABELS[i]]
            want = 2 * max(0.0, trust - 0.05)
            assert float(weights[i, c]) == pytest.approx(want, rel=1e-12)
            total += (want * float(STUDENT[i, c] - TEACHER[i, c])) ** 2 / 5
    assert_value(selective_distillation(STUDENT, TEACHER, weights), total)


def test_rows_trusted_alike():
    confusion = torch.tensor([[0.7, 0.2, 0.1], [0.0, 0.9, 0.1], [0.5, 0.1, 0.4]], dtype=torch.float64)
    want = [0.7 * 0.5 - 0.1, 0.9 * 0.8 - 0.1, 0.4 * 0.9 - 0.1]
    got = class_credibility(TEACHER, None, confusion)
    torch.testing.assert_close(got, torch.tensor(want, dtype=torch.float64).expand(5, 3))


def test_a_confusion_of_other_classes():
    with pytest.raises(ValueError, match=r"'confusion' must be \(3, 3\), got \(5, 3\)"):
        class_credibility(TEACHER, LABELS, TEACHER)


def test_confusion_shares():
    found = confusion_shares(STUDENT, LABELS)  # the student takes the rows for classes 2, 0, 2, 0, 0
    assert found.tolist() == [[1.0, 0.0, 0.0], [0.5, 0.0, 0.5], [0.0, 0.0, 1.0]]


class TestFedSSD(Behaviour):
    cases: ClassVar = {
        "SelectiveKD": Case(
            partial(SelectiveKD, CONFUSION),
            at_teacher="zero",
            refused_width=r"'teacher' must be as wide as 'student' \(3\), got 4",
        ),
    }


def test_selective_kd_trusts_classes_that_the_model_knows():
    by_class = SelectiveKD(CONFUSION, by_row=False, threshold=0.0)(STUDENT, TEACHER, y=LABELS)
    trust = [0.8 * (1 - 0.3), 0.6 * (1 - 0.2), 0.5 * (1 - 0.3)]
    want = sum((trust[c] * float(STUDENT[i, c] - TEACHER[i, c])) ** 2 for i in NODES for c in CLASSES) / 5
    assert_value(by_class, want)


def test_trust_is_a_classes_or_a_rows():
    rows, classes, none = run("fedssd").model, run("fedcad").model, run("fedavg").model
    assert min(apart(rows, none), apart(classes, none), apart(rows, classes)) > 1e-5


def test_public_rows_must_be_labelled():
    data = public()
    del data.y
    with pytest.raises(ValueError, match=r"needs labelled public rows, 'public' with labels: .*'y'"):
        run("fedssd", public=data)
