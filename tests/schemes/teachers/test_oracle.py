"""Who teaches in an oracle: the loss of a step, and rows about which nobody is right."""

from __future__ import annotations

import pytest
import torch

import graphkd
from graphkd import Frozen
from graphkd.core.batches import changed
from graphkd.losses import cross_entropy
from graphkd.schemes import oracle_kd
from tests.core.models import gcn, graph


def test_an_oracle_teaches_as_its_loss_says():
    data, student, teachers, seen = graph(), gcn(1), [gcn(2), gcn(3)], []
    graphkd.distil("oracle", student, teachers, data, weight=0.7, temperature=2.0, epochs=1, log=seen.append)
    rows = data.train_mask
    each = torch.stack([Frozen(teacher)(data)["logits"][rows] for teacher in teachers])
    want = oracle_kd(Frozen(student)(data)["logits"][rows], each, data.y[rows], 2.0, weight=0.7)
    assert seen[0]["loss"] == pytest.approx(float(want), rel=1e-5)


def test_where_nobody_is_right_labels_teach_alone():
    data, student, teachers, seen = graph(), gcn(1), [gcn(2), gcn(3)], []
    wrong = torch.stack([Frozen(teacher)(data)["logits"].argmax(dim=1) for teacher in teachers])
    y = torch.tensor([next(c for c in range(3) if c not in row) for row in wrong.t().tolist()])
    graphkd.distil("oracle", student, teachers, changed(data, y=y), epochs=1, log=seen.append)
    rows = data.train_mask
    want = cross_entropy(Frozen(student)(data)["logits"][rows], y[rows])
    assert seen[0]["loss"] == pytest.approx(float(want), rel=1e-5)
    assert "oracle" not in seen[0]


def test_a_student_is_trained():
    data = graph()
    student = graphkd.distil("oracle", gcn(1), [gcn(2), gcn(3)], data, epochs=20).model
    logits = student(data.x, data.edge_index)
    assert (logits.argmax(1) == data.y)[data.train_mask].float().mean() > 0.6
