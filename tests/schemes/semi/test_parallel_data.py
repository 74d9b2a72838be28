"""Parallel data: that the student comes to say on changed rows what the teacher does on the others."""

from __future__ import annotations

import torch

import graphkd
from graphkd import Frozen
from graphkd.core.batches import changed
from tests.core.models import gcn, graph


def test_no_label_is_read():
    data, found = graph(), []
    del data.val_mask
    for y in (data.y, 0 * data.y):
        model = graphkd.distil("parallel_data", gcn(2), gcn(1), changed(data, y=y), epochs=5).model
        found.append(model(data.x, data.edge_index))
    assert torch.equal(*found)


def test_a_student_without_edges_learns_what_the_teacher_says_with_them():
    data, teacher, student = graph(), gcn(1), gcn(2, width=32)
    bare = changed(data, edge_index=data.edge_index[:, :0])
    want = Frozen(teacher)(data)["logits"].argmax(dim=1)

    def agreement(model):
        return float((Frozen(model)(bare)["logits"].argmax(dim=1) == want).float().mean())

    before = agreement(student)
    noise = lambda batch: changed(batch, edge_index=batch.edge_index[:, :0])  # noqa: E731
    del data.val_mask
    found = graphkd.distil("parallel_data", student, teacher, data, noise=noise, epochs=200).model
    assert agreement(found) > max(before, 0.8)
