"""Who sees which batch, and that the student comes to say there what the teacher does."""

from __future__ import annotations

import torch
from torch import nn

from graphkd import Frozen
from graphkd.schemes import changed, drop_edges, function_matching, parallel_student
from tests.core.models import gcn, graph
from tests.schemes.test_expansion import Spy


class Seen(nn.Module):
    """Keeps the batches it was called with."""

    def __init__(self, model):
        super().__init__()
        self.model, self.seen = model, []

    def forward(self, x, edge_index):
        self.seen.append(edge_index)
        return self.model(x, edge_index)


def test_functions_are_matched_on_the_same_changed_batch():
    data, student, teacher = graph(), Spy(gcn(2)), Seen(gcn(1))
    assert function_matching(student, teacher, data, noise=drop_edges, epochs=5) is student
    assert len(teacher.seen) == 5
    assert all(torch.equal(one, edges) for one, (_, edges) in zip(teacher.seen, student.seen, strict=True))
    assert all(edges.size(1) < data.edge_index.size(1) for edges in teacher.seen)


def test_a_parallel_student_alone_is_under_the_condition():
    data, student, teacher = graph(), Spy(gcn(2)), Seen(gcn(1))
    assert parallel_student(student, teacher, data, condition=drop_edges, epochs=5) is student
    assert all(torch.equal(edges, data.edge_index) for edges in teacher.seen)
    assert all(edges.size(1) < data.edge_index.size(1) for _, edges in student.seen)


def test_no_label_is_read():
    data, want = graph(), None
    for y in (data.y, 0 * data.y):
        student = parallel_student(gcn(2), gcn(1), changed(data, y=y), epochs=5)
        got = student(data.x, data.edge_index)
        assert want is None or torch.equal(got, want)
        want = got


def test_a_student_without_edges_learns_what_the_teacher_says_with_them():
    data, teacher, student = graph(), gcn(1), gcn(2, width=32)
    bare = changed(data, edge_index=data.edge_index[:, :0])
    want = Frozen(teacher)(data)["logits"].argmax(dim=1)

    def agreement():
        return float((Frozen(student)(bare)["logits"].argmax(dim=1) == want).float().mean())

    before = agreement()
    parallel_student(student, teacher, data, condition=lambda _: bare, epochs=200)
    assert agreement() > max(before, 0.8)
