"""KDCRec's soft labels against their formula."""

from __future__ import annotations

import math

import pytest

from recsys.losses import SoftLabels
from recsys.losses.soft_labels import soft_label_error
from tests.recsys.losses.ratings import example


def test_soft_labels() -> None:
    student, teacher, _ = example()
    total = 0.0
    for s, t in zip(student.tolist(), teacher.tolist(), strict=True):
        p, q = ([math.exp(x / 5) / sum(math.exp(z / 5) for z in row) for x in row] for row in (s, t))
        total += sum((a - b) ** 2 for a, b in zip(p, q, strict=True))
    assert float(soft_label_error(student, teacher)) == pytest.approx(total / 15)
    assert float(SoftLabels(5.0)(student, teacher)) == pytest.approx(total / 15)
