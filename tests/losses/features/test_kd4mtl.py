"""To a task's teacher: the formula, one number at a time."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import pytest
import torch

from graphkd.losses import KD4MTL, kd4mtl
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import NODES, STUDENT, TEACHER, WIDE_TEACHER, assert_value, dot
from tests.losses.scene import SAME_WIDTH


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


WIDER = r"'teacher' must be as wide as 'student' \(4\), got 5"


class TestKD4MTL(Behaviour):
    cases: ClassVar = {
        "KD4MTL": Case(KD4MTL, at_teacher="zero", refused_width=SAME_WIDTH),
        "KD4MTL_adapter": Case(partial(KD4MTL, 3, 4), widths=(3, 4), refused_width=WIDER),
    }
