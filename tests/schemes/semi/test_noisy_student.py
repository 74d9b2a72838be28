"""Noisy students: which rows teach, what is changed, and who teaches whom."""

from __future__ import annotations

import pytest
import torch

import graphkd
from graphkd import Frozen
from graphkd.core.problem import Problem
from graphkd.losses import CE
from graphkd.schemes import drop_edges, select_pseudo_labels
from tests.core.models import gcn, graph
from tests.schemes.semi.scene import Spy


def same(batch):
    return batch


def equal(one, other):
    return all(torch.equal(p, q) for p, q in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("soft", [True, False])
def test_a_noisy_student_learns_from_a_changed_graph(soft):
    data, teacher, student = graph(), gcn(1), Spy(gcn(3, width=16))
    del data.val_mask
    teacher.convs[1].lin.weight.data.mul_(10.0)  # it is sure
    result = graphkd.distil(
        "noisy_student", student, teacher, data, iterations=1, threshold=0.0, soft=soft, noise=drop_edges, epochs=100
    )
    assert len(student.seen) == 100
    assert len({edges.size(1) for _, edges in student.seen}) > 3
    want = Frozen(teacher)(data)["logits"].argmax(dim=1)
    agree = (Frozen(result.model)(data)["logits"].argmax(dim=1) == want)[~data.train_mask].float().mean()
    before = (gcn(3, width=16)(data.x, data.edge_index).argmax(dim=1) == want)[~data.train_mask].float().mean()
    assert agree > max(before, 0.6)


def test_each_learns_from_the_one_before(monkeypatch):
    data, asked, rows = graph(), [], {}
    view_of = Problem.view_of

    def watch(problem, teacher, name="logits"):
        asked.append(teacher)
        return view_of(problem, teacher, name)

    monkeypatch.setattr(Problem, "view_of", watch)
    first = gcn(2, width=6)
    result = graphkd.distil(
        "noisy_student", gcn(3), gcn(1), data, students=[first], epochs=3, log=lambda row: rows.setdefault(row["stage"])
    )
    assert list(rows) == ["student-1", "student-2"]
    assert [teacher.model.hidden_channels for teacher in asked] == [8, 6]
    assert not equal(asked[1].model, first)
    assert result.model.hidden_channels == 8
    rows.clear()
    graphkd.distil(
        "noisy_student", gcn(3), gcn(1), data, iterations=3, epochs=1, log=lambda row: rows.setdefault(row["stage"])
    )
    assert list(rows) == ["student-1", "student-2", "student-3"]
    assert not equal(asked[3].model, asked[4].model)
    with pytest.raises(ValueError, match="'iterations' must be at least 1, got 0"):
        graphkd.distil("noisy_student", gcn(3), gcn(1), data, iterations=0, epochs=1)


def test_unsure_rows_do_not_teach():
    """At a threshold that nobody reaches, labels alone do."""
    data = graph()
    one, other = (
        graphkd.distil("noisy_student", gcn(2), teacher, data, iterations=1, threshold=1.1, noise=same, epochs=5).model
        for teacher in (gcn(1), gcn(7))
    )
    assert equal(one, other)
    assert equal(one, graphkd.distil("none", gcn(2), None, data, epochs=5).model)


def test_the_loss_is_the_mean_over_labelled_and_chosen_rows():
    """Hard labels of a quota that repeats rows: as if they had been labels."""
    data, teacher, student, seen = graph(), gcn(1), gcn(2), []
    logits, others = Frozen(teacher)(data)["logits"], (~data.train_mask).nonzero()[:, 0]
    rows, labels, _ = select_pseudo_labels(logits[others], 0.4, 15)
    assert len(rows) == 15 * len(labels.unique())
    settings = {"iterations": 1, "threshold": 0.4, "per_class": 15, "soft": False, "noise": same}
    graphkd.distil("noisy_student", student, teacher, data, epochs=1, log=seen.append, **settings)
    answers = Frozen(student)(data)["logits"]
    every = torch.cat([answers[data.train_mask], answers[others[rows]]])
    want = CE()(every, y=torch.cat([data.y[data.train_mask], labels]))
    assert seen[0]["loss"] == pytest.approx(float(want), rel=1e-5)
