"""Uninformed students: the formulas by loops."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from graphkd.schemes import (
    anomaly_score,
    predictive_uncertainty,
    regression_error,
    uninformed_scores,
    uninformed_students,
)
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


# ------------------------------------------------------------- the procedure
def test_students_fail_where_rows_are_not_ordinary():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(200, 6, generator=generator)
    odd = torch.arange(200) >= 180
    x[odd] = 4 * x[odd]
    data = {"x": x, "train_mask": torch.arange(200) < 120, "val_mask": (torch.arange(200) >= 120) & ~odd}
    torch.manual_seed(0)
    teacher = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
    students = [nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 8)) for _ in range(3)]
    call = {"epochs": 100}
    scores = uninformed_scores([Rows(one) for one in students], Rows(teacher), data, "model.1", **call)
    assert scores.shape == (200,)
    assert float((scores[odd][:, None] > scores[~odd]).float().mean()) > 0.9
    kept = scores[data["val_mask"]]
    assert abs(float(kept.mean())) < 1e-4  # both parts are standardised there
    features = teacher[1](teacher[0](x)).detach()
    known = features[data["train_mask"]]
    target = (features - known.mean(dim=0)) / known.std(dim=0, correction=0)
    answers = torch.stack([one(x).detach() for one in students])
    error, spread = regression_error(answers, target), predictive_uncertainty(answers)
    rows = data["val_mask"]
    want = sum((v - v[rows].mean()) / v[rows].std(correction=0) for v in (error, spread))
    torch.testing.assert_close(scores, want, rtol=1e-4, atol=1e-4)


class Rows(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x)
