"""Uninformed students: the formulas by loops."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import graphkd
from graphkd.schemes import anomaly_score, predictive_uncertainty, regression_error, uninformed_students
from graphkd.tasks import AnomalyDetection, area_under_curve
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


# ------------------------------------------------------------- the method
class Rows(nn.Module):
    def __init__(self, model, seed):
        super().__init__()
        torch.manual_seed(seed)
        self.model = model()

    def forward(self, x):
        return self.model(x)


def scene():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(200, 6, generator=generator)
    odd = torch.arange(200) >= 180
    x[odd] = 4 * x[odd]
    data = {"x": x, "y": odd.long(), "train_mask": ~odd}
    teacher = Rows(lambda: nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)), 0)
    return data, Rows(lambda: nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 8)), 1), teacher


def found(data, student, teacher, **settings):
    options = {"task": AnomalyDetection(), "hidden": "model.1", "progress": False, **settings}
    return graphkd.distil("uninformed", student, teacher, data, **options)


def test_students_fail_where_rows_are_not_ordinary():
    data, student, teacher = scene()
    result = found(data, student, teacher, epochs=100, held_out=0.3)
    with torch.no_grad():
        scores = result.model(data["x"])
    assert scores.shape == (200,)
    assert result.scores["test"]["auc"] == area_under_curve(scores, data["y"]) > 0.9
    assert [report["stage"] for report in result.history[::100]] == ["student-1", "student-2", "student-3"]


def test_the_scores_are_standardised_over_ordinary_rows():
    data, student, teacher = scene()
    both = found(data, student, teacher, epochs=5, held_out=0.3).model
    with torch.no_grad():
        scores = both(data["x"])
        features = teacher.model[1](teacher.model[0](data["x"]))
        answers = torch.stack([one(data["x"]) for one in both.students])
    order = torch.randperm(180, generator=torch.Generator().manual_seed(0))
    held, known = order[:54], order[54:]
    target = (features - features[known].mean(dim=0)) / features[known].std(dim=0, correction=0)
    parts = regression_error(answers, target), predictive_uncertainty(answers)
    want = sum((v - v[held].mean()) / v[held].std(correction=0) for v in parts)
    torch.testing.assert_close(scores, want, rtol=1e-4, atol=1e-4)
    assert abs(float(scores[held].mean())) < 1e-4
    assert not teacher.model[1]._forward_hooks
    assert not both.teacher.model[1]._forward_hooks


def test_students_and_teacher_may_read_other_inputs():
    """What serves takes what any of them does, by name or by place."""

    class OfEdges(Rows):
        def forward(self, edge_index, x, scale=1.0):
            return self.model(x) * scale + edge_index.size(1)

    data, student, _ = scene()
    data["edge_index"] = torch.zeros(2, 0, dtype=torch.long)
    teacher = OfEdges(lambda: nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)), 0)
    both = found(data, student, teacher, epochs=2).model
    named = both(x=data["x"], edge_index=data["edge_index"])
    assert torch.equal(named, both(data["x"], data["edge_index"]))


def test_what_serves_is_saved_and_loaded(tmp_path):
    data, student, teacher = scene()
    result = found(data, student, teacher, epochs=2)
    result.save(tmp_path)
    other = found(data, student, teacher, epochs=1).model
    loaded = type(result).load(tmp_path, other).model
    assert torch.equal(loaded(data["x"]), result.model(data["x"]))


def test_wrong_arguments():
    data, student, teacher = scene()
    with pytest.raises(ValueError, match="'students' must be at least 1, got 0"):
        found(data, student, teacher, students=0)
    with pytest.raises(ValueError, match=r"'teacher' must be as wide as 'student' \(3\), got 8"):
        found(data, teacher, teacher, epochs=1)
