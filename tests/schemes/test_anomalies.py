"""Uninformed students: the formulas by loops."""

from __future__ import annotations

import pytest
import torch

from graphkd.schemes import anomaly_score, predictive_uncertainty, regression_error, uninformed_students
from tests.losses.example import NODES, STUDENT, TEACHER, assert_value

STUDENTS = torch.stack([STUDENT, TEACHER.flip(0)])


def test_formulas():
    total, score = 0.0, anomaly_score(STUDENTS, TEACHER, (0.5, 2.0), (0.1, 3.0))
    errors, uncertain = regression_error(STUDENTS, TEACHER), predictive_uncertainty(STUDENTS)
    for i in NODES:
        rows = [[float(x) for x in student[i]] for student in STUDENTS]
        mean = [sum(column) / 2 for column in zip(*rows, strict=True)]
        total += sum((x - float(t)) ** 2 for row in rows for x, t in zip(row, TEACHER[i], strict=True)) / 5
        error = sum((x - float(t)) ** 2 for x, t in zip(mean, TEACHER[i], strict=True))
        spread = sum(x * x for row in rows for x in row) / 2 - sum(x * x for x in mean)
        assert float(errors[i]) == pytest.approx(error, rel=1e-12)
        assert float(uncertain[i]) == pytest.approx(spread, rel=1e-10)
        assert float(score[i]) == pytest.approx((error - 0.5) / 2 + (spread - 0.1) / 3, rel=1e-10)
    assert_value(uninformed_students(STUDENTS, TEACHER), total)


def test_another_width():
    with pytest.raises(ValueError, match=r"'teacher' must have shape \(5, 3\), got \(5, 2\)"):
        uninformed_students(STUDENTS, TEACHER[:, :2])
