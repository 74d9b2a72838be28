"""Noise, pseudo-labels and phases: which rows teach, and what the teacher sees."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from graphkd import Cached, Frozen
from graphkd.schemes import (
    Changed,
    agreed_labels,
    consistent_student,
    drop_edges,
    drop_edges_and_features,
    mask_features,
    noisy_student,
    phased_student,
    relative_entropy,
    select_pseudo_labels,
    tri_training,
    with_ids,
)
from tests.core.models import CLASSES, NODES, gcn, graph
from tests.losses.example import CLASSES as EACH_CLASS
from tests.losses.example import NODES as ROWS
from tests.losses.example import TEACHER, softmax


class Spy(nn.Module):
    """Keeps the batches it was called with, in training."""

    def __init__(self, model):
        super().__init__()
        self.model, self.seen = model, []

    def forward(self, x, edge_index):
        if self.training:
            self.seen.append((x, edge_index))
        return self.model(x, edge_index)


# ------------------------------------------------------------- changed batches
def test_changes_leave_the_graph_as_it_is():
    data = graph()
    x, edges = data.x.clone(), data.edge_index.clone()
    torch.manual_seed(0)
    other = drop_edges_and_features(data, 0.5)
    assert torch.equal(data.x, x)
    assert torch.equal(data.edge_index, edges)
    kept = {tuple(edge) for edge in other.edge_index.t().tolist()}
    assert kept < {tuple(edge) for edge in edges.t().tolist()}
    columns = (other.x == 0).all(dim=0)
    assert columns.any()
    assert torch.equal(other.x[:, ~columns], x[:, ~columns])


@pytest.mark.parametrize("change", [drop_edges, mask_features])
def test_a_rate_is_a_share(change):
    data = graph()
    same = change(data, 0.0)
    assert torch.equal(same.x, data.x)
    assert torch.equal(same.edge_index, data.edge_index)
    with pytest.raises(ValueError, match=r"'rate' must be at least 0 and below 1, got 1\.0"):
        change(data, 1.0)


def test_every_draw_is_another_and_a_cached_teacher_sees_none():
    data, teacher = graph(), gcn(1)
    batches = Changed(data, drop_edges)
    torch.manual_seed(0)
    (one,), (other,) = list(batches), list(batches)
    assert one.edge_index.shape != other.edge_index.shape or not torch.equal(one.edge_index, other.edge_index)
    assert torch.equal(Cached(teacher, data)(one)["logits"], Frozen(teacher)(data)["logits"])
    assert torch.equal(one.n_id, torch.arange(NODES))
    assert "n_id" not in data
    assert with_ids(one) is one
    assert len(list(Changed([data, data], drop_edges))) == 2


# ------------------------------------------------------------- students
@pytest.mark.parametrize("soft", [True, False])
def test_each_noisy_student_learns_from_the_one_before(soft):
    data, teacher, students = graph(), gcn(1), [Spy(gcn(2, width=8)), Spy(gcn(3, width=16))]
    found = noisy_student(teacher, students, data, threshold=0.0, soft=soft, epochs=30)
    assert found is students[-1]
    assert all(len(student.seen) == 30 for student in students)
    assert len({edges.size(1) for _, edges in students[0].seen}) > 3
    want = Frozen(teacher)(data)["logits"].argmax(dim=1)
    agree = (students[0](data.x, data.edge_index).argmax(dim=1) == want)[~data.train_mask].float().mean()
    before = (gcn(2)(data.x, data.edge_index).argmax(dim=1) == want)[~data.train_mask].float().mean()
    assert agree > max(before, 0.6)


def test_unsure_rows_do_not_teach():
    """At a threshold that nobody reaches, labels alone do."""
    data, teacher = graph(), gcn(1)
    one = noisy_student(teacher, [gcn(2)], data, threshold=1.1, noise=lambda batch: batch, epochs=5)
    other = noisy_student(gcn(7), [gcn(2)], data, threshold=1.1, noise=lambda batch: batch, epochs=5)
    assert torch.equal(one(data.x, data.edge_index), other(data.x, data.edge_index))
    with pytest.raises(ValueError, match="'students' must hold one at least"):
        noisy_student(teacher, [], data, epochs=1)


def test_a_quota_repeats_rows():
    data, teacher = graph(), gcn(1)
    logits = Frozen(teacher)(data)["logits"][~data.train_mask]
    assert len(select_pseudo_labels(logits, 0.0, 15)[0]) == 15 * len(logits.argmax(1).unique())
    noisy_student(teacher, [gcn(2)], data, threshold=0.0, per_class=15, epochs=2)


def test_a_consistent_student_comes_nearer():
    data, teacher, student = graph(), gcn(1), gcn(2)
    want = Frozen(teacher)(data)["logits"].argmax(dim=1)
    before = (student(data.x, data.edge_index).argmax(dim=1) == want).float().mean()
    consistent_student(student, teacher, data, threshold=0.0, epochs=30)
    assert (student(data.x, data.edge_index).argmax(dim=1) == want)[~data.train_mask].float().mean() > before


def test_relative_entropy():
    got = relative_entropy(TEACHER)
    for i in ROWS:
        p = softmax(TEACHER[i])
        assert float(got[i]) == pytest.approx(-sum(p[c] * math.log(p[c]) for c in EACH_CLASS) / math.log(3))
    torch.testing.assert_close(relative_entropy(torch.zeros(1, 4)), torch.ones(1))


def test_phases_take_in_more_rows(monkeypatch):
    data, teacher = graph(), gcn(1)
    sizes = []
    from graphkd.schemes import expansion

    fitted = expansion.fit

    def watched(task, batch, **options):
        sizes.append(batch["pseudo"].numel())
        return fitted(task, batch, **options)

    monkeypatch.setattr(expansion, "fit", watched)
    phased_student(gcn(2), teacher, data, phases=3, epochs=2)
    assert sizes == [7, 14, 20]
    with pytest.raises(ValueError, match="'phases' must be at least 1, got 0"):
        phased_student(gcn(2), teacher, data, phases=0, epochs=1)


# ------------------------------------------------------------- three models
def test_agreed_labels():
    votes = torch.tensor([[0, 1, 2, 1], [0, 1, 0, 2], [1, 1, 2, 2]])
    logits = nn.functional.one_hot(votes, CLASSES).float()
    rows = torch.tensor([0, 2, 3])
    for k, (chosen, labels) in enumerate(agreed_labels(logits, rows)):
        one, other = (votes[j] for j in range(3) if j != k)
        want = [int(i) for i in rows if one[i] == other[i]]
        assert chosen.tolist() == want
        assert labels.tolist() == [int(one[i]) for i in want]
    with pytest.raises(ValueError, match=r"'logits' must have shape \(3, N, C\)"):
        agreed_labels(logits[:2], rows)


def test_tri_training_trains_three_and_leaves_the_data():
    data = graph()
    y = data.y.clone()
    students = tri_training([gcn(seed) for seed in range(3)], data, rounds=2, epochs=40)
    assert len(students) == 3
    assert torch.equal(data.y, y)
    for student in students:
        hits = (student(data.x, data.edge_index).argmax(dim=1) == y)[data.train_mask].float().mean()
        assert hits > 0.6
    with pytest.raises(ValueError, match="'students' must be three, got 1"):
        tri_training([gcn()], data, epochs=1)
