"""FF-G2M's two losses: the formulas, one edge at a time."""

from __future__ import annotations

import math
from functools import partial
from typing import ClassVar

import pytest
import torch

from graphkd.losses import HighFrequency, LowFrequency, frequency, high_frequency, low_frequency
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import EDGE_INDEX, EDGES, NODES, STUDENT, TEACHER, WIDE_TEACHER, assert_value

TEMPERATURE = 1.3


def softmax(row):
    exps = [math.exp(float(x)) for x in row]
    return [e / sum(exps) for e in exps]


def divergence(p, q):
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def difference(x, source, target):
    return softmax([abs(float(a) - float(b)) / TEMPERATURE for a, b in zip(x[source], x[target], strict=True)])


@pytest.mark.parametrize("self_loops", [False, True])
def test_low_frequency(self_loops):
    edges = EDGES + [(node, node) for node in NODES if self_loops]
    want = sum(divergence(softmax(TEACHER[j]), softmax(STUDENT[i])) for i, j in edges) / len(edges)
    assert_value(low_frequency(STUDENT, TEACHER, EDGE_INDEX, self_loops=self_loops), want)
    assert_value(LowFrequency(self_loops=self_loops)(STUDENT, TEACHER, edge_index=EDGE_INDEX), want)


def test_high_frequency():
    pairs = [(difference(TEACHER, i, j), difference(STUDENT, i, j)) for i, j in EDGES]
    want = sum(divergence(*pair) for pair in pairs) / len(EDGES)
    assert_value(high_frequency(STUDENT, TEACHER, EDGE_INDEX, TEMPERATURE), want)
    assert_value(HighFrequency(TEMPERATURE)(STUDENT, TEACHER, edge_index=EDGE_INDEX), want)


def test_high_frequency_in_blocks(monkeypatch):
    """The same value and gradient, whatever the size of a block."""
    found = []
    for edges in (100, 4):
        monkeypatch.setattr(frequency, "_EDGES", edges)
        student = STUDENT.clone().requires_grad_()
        value = high_frequency(student, TEACHER, EDGE_INDEX)
        found.append((value.detach(), torch.autograd.grad(value, student)[0]))
    torch.testing.assert_close(*found)


def test_the_temperature_is_positive():
    with pytest.raises(ValueError, match="'temperature' must be positive, got 0"):
        HighFrequency(0)
    with pytest.raises(ValueError, match="'temperature' must be positive, got -1"):
        high_frequency(STUDENT, TEACHER, EDGE_INDEX, -1)


def test_widths_must_agree():
    with pytest.raises(ValueError, match=r"'teacher' must be as wide as 'student' \(3\), got 5"):
        low_frequency(STUDENT, WIDE_TEACHER, EDGE_INDEX)


class TestFrequency(Behaviour):
    width = r"'teacher' must be as wide as 'student' \(3\), got 4"
    cases: ClassVar = {
        "LowFrequency": Case(LowFrequency, masked=False, refused_width=width),
        "HighFrequency": Case(
            partial(HighFrequency, TEMPERATURE), masked=False, at_teacher="zero", refused_width=width
        ),
    }
