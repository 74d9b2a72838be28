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


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (torch.tensor([0, 1, 2, 3, 0]), r"'y' must hold labels in \[0, 3\), got labels from 0 to 3"),
        (torch.tensor([0, 1, -1, 2, 0]), r"'y' must hold labels in \[0, 3\), got labels from -1 to 2"),
        (torch.zeros(5), r"'y' must hold 5 integer labels, got torch.float32 of shape \(5,\)"),
        (torch.zeros(5, 1, dtype=torch.int64), r"'y' must hold 5 integer labels, got torch.int64 of shape \(5, 1\)"),
    ],
)
def test_wrong_labels(y, message):
    with pytest.raises(ValueError, match=message):
        cross_entropy(STUDENT, y)


class TestCE(Behaviour):
    cases: ClassVar = {
        "CE": Case(CE, refused=LABELS_REFUSED),
    }
