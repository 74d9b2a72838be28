"""NCKD: its refusal and its behaviour; the formula is tested with DKD's."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import pytest

from graphkd.losses import NCKD, nckd
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import LABELS, STUDENT, TEACHER
from tests.losses.scene import SAME_WIDTH


def test_one_class():
    with pytest.raises(ValueError, match="'student' must have a class besides the label's, got 1"):
        nckd(STUDENT[:, :1], TEACHER[:, :1], LABELS * 0)


class TestNCKD(Behaviour):
    cases: ClassVar = {
        "NCKD": Case(partial(NCKD, 2.0), refused_width=SAME_WIDTH),
    }
