"""FF-G2M's high frequency: the formula, one edge at a time."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import pytest
import torch

from graphkd.losses import HighFrequency, high_frequency
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import EDGE_INDEX, EDGES, STUDENT, TEACHER, assert_value, divergence, softmax
from tests.losses.scene import SAME_WIDTH

TEMPERATURE = 1.3


def difference(x, source, target):
    return softmax([abs(float(a) - float(b)) / TEMPERATURE for a, b in zip(x[source], x[target], strict=True)])


def test_high_frequency():
    pairs = [(difference(TEACHER, i, j), difference(STUDENT, i, j)) for i, j in EDGES]
    want = sum(divergence(*pair) for pair in pairs) / len(EDGES)
    assert_value(high_frequency(STUDENT, TEACHER, EDGE_INDEX, TEMPERATURE), want)
    assert_value(HighFrequency(TEMPERATURE)(STUDENT, TEACHER, edge_index=EDGE_INDEX), want)


def test_high_frequency_in_blocks(monkeypatch):
    """The same value and gradient, whatever the size of a block."""
    found = []
    for edges in (100, 4):
        monkeypatch.setattr("graphkd.losses.graphs.high_frequency._EDGES", edges)
        student = STUDENT.clone().requires_grad_()
        value = high_frequency(student, TEACHER, EDGE_INDEX)
        found.append((value.detach(), torch.autograd.grad(value, student)[0]))
    torch.testing.assert_close(*found)


def test_the_temperature_is_positive():
    with pytest.raises(ValueError, match="'temperature' must be positive, got 0"):
        HighFrequency(0)
    with pytest.raises(ValueError, match="'temperature' must be positive, got -1"):
        high_frequency(STUDENT, TEACHER, EDGE_INDEX, -1)


class TestHighFrequency(Behaviour):
    cases: ClassVar = {
        "HighFrequency": Case(
            partial(HighFrequency, TEMPERATURE), masked=False, at_teacher="zero", refused_width=SAME_WIDTH
        ),
    }
