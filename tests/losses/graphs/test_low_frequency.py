"""FF-G2M's low frequency: the formula, one edge at a time."""

from __future__ import annotations

from typing import ClassVar

import pytest

from graphkd.losses import LowFrequency, low_frequency
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import (
    EDGE_INDEX,
    EDGES,
    NODES,
    STUDENT,
    TEACHER,
    WIDE_TEACHER,
    assert_value,
    divergence,
    softmax,
)
from tests.losses.scene import SAME_WIDTH


@pytest.mark.parametrize("self_loops", [False, True])
def test_low_frequency(self_loops):
    edges = EDGES + [(node, node) for node in NODES if self_loops]
    want = sum(divergence(softmax(TEACHER[j]), softmax(STUDENT[i])) for i, j in edges) / len(edges)
    assert_value(low_frequency(STUDENT, TEACHER, EDGE_INDEX, self_loops=self_loops), want)
    assert_value(LowFrequency(self_loops=self_loops)(STUDENT, TEACHER, edge_index=EDGE_INDEX), want)


def test_widths_must_agree():
    with pytest.raises(ValueError, match=r"'teacher' must be as wide as 'student' \(3\), got 5"):
        low_frequency(STUDENT, WIDE_TEACHER, EDGE_INDEX)


class TestLowFrequency(Behaviour):
    cases: ClassVar = {
        "LowFrequency": Case(LowFrequency, masked=False, refused_width=SAME_WIDTH),
    }
