"""Cross-entropy: the formula, one node at a time."""

from __future__ import annotations

import math
from typing import ClassVar

import pytest
import torch

from graphkd.losses import CE, cross_entropy
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import LABELS, NODES, STUDENT, assert_value, softmax
from tests.losses.scene import LABELS_REFUSED


def test_cross_entropy():
    want = sum(-math.log(softmax(STUDENT[i])[LABELS[i]]) for i in NODES) / 5
    assert_value(cross_entropy(STUDENT, LABELS), want)
    assert_value(CE()(STUDENT, y=LABELS), want)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32])
def test_labels_of_any_integer_type(dtype):
    assert torch.equal(cross_entropy(STUDENT, LABELS.to(dtype)), cross_entropy(STUDENT, LABELS))


@pytest.mark.parametrize("labels", [LABELS[:, None], LABELS.double(), LABELS[:, None].float()])
def test_labels_as_a_column_and_as_whole_floats(labels):
    assert torch.equal(cross_entropy(STUDENT, labels), cross_entropy(STUDENT, LABELS))


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (torch.tensor([0, 1, 2, 3, 0]), r"'y' must hold labels in \[0, 3\), got labels from 0 to 3"),
        (torch.tensor([0, 1, -1, 2, 0]), r"'y' must hold labels in \[0, 3\), got labels from -1 to 2"),
        (
            torch.tensor([0, 1, torch.nan, 2, 0]),
            r"1 of the 5 rows that are read are unlabelled, -1 or NaN, give where=",
        ),
        (torch.zeros(4), r"'y' must hold 5 integer labels, got torch.float32 of shape \(4,\)"),
        (torch.full((5,), 0.5), "'y' must hold class ids, got torch.float32 numbers that are not whole"),
        (torch.eye(5)[:, :3], r"'y' must hold one class id a row.*for one-hot labels use y.argmax\(1\).*BCE"),
    ],
)
def test_wrong_labels(y, message):
    with pytest.raises(ValueError, match=message):
        cross_entropy(STUDENT, y)


class TestCE(Behaviour):
    cases: ClassVar = {
        "CE": Case(CE, refused=LABELS_REFUSED),
    }
