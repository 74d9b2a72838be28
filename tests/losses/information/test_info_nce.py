"""InfoNCE: the formula, one anchor at a time."""

from __future__ import annotations

from typing import ClassVar

import pytest

from graphkd.losses import InfoNCE, info_nce
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import STUDENT, TEACHER, assert_value
from tests.losses.graphs.test_gcrd import contrast, told_apart
from tests.losses.scene import SAME_WIDTH


def test_info_nce():
    assert_value(info_nce(STUDENT, TEACHER, 0.2), contrast(STUDENT, TEACHER, 0.2))


def test_temperature_must_be_positive():
    with pytest.raises(ValueError, match=r"'temperature' must be positive, got -1"):
        InfoNCE(-1)


class TestInfoNCE(Behaviour):
    cases: ClassVar = {
        "InfoNCE": Case(InfoNCE, distance=told_apart, refused_width=SAME_WIDTH),
    }
