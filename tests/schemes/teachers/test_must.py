"""Several tasks: what stands where, and one student of them all."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch_geometric.nn import GCN

from graphkd import Cached, Frozen
from graphkd.losses import CE, FeatureDistance, cross_entropy, pseudo_label
from graphkd.schemes import Specialists, TaskHeads, must
from tests.core.models import FEATURES, gcn, graph


def tasks():
    """A graph, teachers of a task of five classes and of a number, and a student."""
    torch.manual_seed(4)
    teachers = {"topic": GCN(FEATURES, 8, 2, 5), "rating": GCN(FEATURES, 8, 2, 1)}
    heads = {"topic": nn.Linear(16, 5), "rating": nn.Linear(16, 1)}
    return graph(), teachers, TaskHeads(gcn(1, width=16), "convs.0", heads)


def test_specialists_stand_side_by_side():
    data, teachers, _ = tasks()
    view = Specialists(teachers)(data)
    assert {task: tuple(rows.shape) for task, rows in view.items()} == {"topic": (30, 5), "rating": (30, 1)}
    for task, teacher in teachers.items():
        assert torch.equal(view[task], Frozen(teacher)(data)["logits"])
    known = Specialists({task: Cached(teacher, data) for task, teacher in teachers.items()})
    assert known(data)["topic"] is known(data)["topic"]


def test_heads_read_the_hidden_layer():
    data, _, student = tasks()
    view = student(data.x, data.edge_index)
    hidden = student.model.convs[0](data.x, data.edge_index).relu()
    torch.testing.assert_close(view["topic"], student.heads["topic"](hidden))
    torch.testing.assert_close(view["logits"], student.model(data.x, data.edge_index))
    twin = copy.deepcopy(student)
    assert torch.equal(twin(data.x, data.edge_index)["rating"], view["rating"])
    assert torch.equal(Frozen(student)(data)["topic"], view["topic"].detach())
    with pytest.raises(ValueError, match="'heads' must not be named 'logits'"):
        TaskHeads(gcn(1), "convs.0", {"logits": nn.Linear(8, 3)})


def test_the_sum_of_a_step(monkeypatch):
    from graphkd.schemes import multi_task

    data, teachers, student = tasks()
    seen = []
    monkeypatch.setattr(multi_task, "fit", lambda task, batch, **_: seen.append(task(batch)))
    must(student, teachers, data, {"rating": 0.5 * FeatureDistance("l1", on="rating")}, threshold=0.3, epochs=1)
    view, rows = student(data.x, data.edge_index), data.train_mask
    want = cross_entropy(view["logits"][rows], data.y[rows])
    want = want + pseudo_label(view["topic"], Frozen(teachers["topic"])(data)["logits"], 0.3)
    want = want + 0.5 * (view["rating"] - Frozen(teachers["rating"])(data)["logits"]).abs().mean()
    torch.testing.assert_close(seen[0].loss, want)
    assert set(seen[0].terms) == {"labels", "topic", "rating"}


def test_one_student_learns_all_tasks():
    data, teachers, student = tasks()
    losses = {"rating": FeatureDistance("l2", on="rating")}
    assert must(student, teachers, data, losses, threshold=0.0, epochs=200) is student
    view = Frozen(student)(data)
    known = {task: Frozen(teacher)(data)["logits"] for task, teacher in teachers.items()}
    assert (view["topic"].argmax(dim=1) == known["topic"].argmax(dim=1)).float().mean() > 0.9
    assert (view["rating"] - known["rating"]).square().mean() < 0.3 * known["rating"].var()
    assert (view["logits"].argmax(dim=1) == data.y)[data.train_mask].float().mean() > 0.8
    with pytest.raises(ValueError, match=r"'losses' must be of the teachers' tasks .* got \['click'\] besides"):
        must(student, teachers, data, {"click": CE()}, epochs=1)


def test_a_step_of_fit_leaves_the_specialists():
    data, teachers, student = tasks()
    before = copy.deepcopy([teacher.state_dict() for teacher in teachers.values()])
    must(student, teachers, data, {"rating": FeatureDistance("l2", on="rating")}, epochs=2, seed=1)
    for old, teacher in zip(before, teachers.values(), strict=True):
        assert all(torch.equal(value, old[name]) for name, value in teacher.state_dict().items())
