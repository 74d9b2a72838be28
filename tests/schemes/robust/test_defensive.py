"""Labels at a high temperature, then a student of these answers."""

from __future__ import annotations

import pytest
import torch

import graphkd
from graphkd.core.batches import changed
from tests.schemes.robust.scene import Linear, blobs


def test_defensive_distillation_learns_soft_answers_at_its_temperature():
    data = blobs()
    teacher, options = Linear(), {"epochs": 60, "progress": False}
    result = graphkd.distil("defensive", Linear(), teacher, data, **options)
    student = result.model
    assert result.scores["test"]["accuracy"] > 0.85
    assert {report["stage"]: "softce" in report for report in result.history} == {"teacher": False, "student": True}
    hidden = changed(data, y=torch.where(data["train_mask"], data["y"], 1 - data["y"]))
    again = graphkd.distil("defensive", Linear(), Linear(), hidden, **options).model
    assert torch.equal(again.layer.weight, student.layer.weight)  # test labels are not read
    own = graphkd.distil("none", Linear(), None, data, **options).model
    spreads = [float(model(data["x"]).detach().std()) for model in (student, own)]
    assert spreads[0] > 1.5 * spreads[1]
    with pytest.raises(ValueError, match=r"'temperature' must be positive, got 0\.0"):
        graphkd.distil("defensive", Linear(), teacher, data, temperature=0.0, **options)


def test_without_a_teacher_the_first_model_is_of_the_student_s_kind():
    data, options = blobs(), {"epochs": 2, "progress": False}
    found = [graphkd.distil("defensive", Linear(), teacher, data, **options).model for teacher in (None, Linear())]
    assert torch.equal(found[0].layer.weight, found[1].layer.weight)
