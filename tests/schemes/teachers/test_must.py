"""Several tasks: what stands where, and one student of them all."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch_geometric.nn import GCN

import graphkd
from graphkd import Cached, Distiller, Frozen, fit
from graphkd.losses import CE, FeatureDistance, PseudoLabel, cross_entropy, pseudo_label
from graphkd.schemes import Specialists, TaskHeads
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


def losses(threshold, rating):
    return {"labels": CE(where="train_mask"), "topic": PseudoLabel(threshold, on="topic"), "rating": rating}


def test_the_sum_of_a_step():
    data, teachers, student = tasks()
    terms = losses(0.3, 0.5 * FeatureDistance("l1", on="rating"))
    step = Distiller(student, Specialists(teachers), terms)(data)
    view, rows = student(data.x, data.edge_index), data.train_mask
    want = cross_entropy(view["logits"][rows], data.y[rows])
    want = want + pseudo_label(view["topic"], Frozen(teachers["topic"])(data)["logits"], 0.3)
    want = want + 0.5 * (view["rating"] - Frozen(teachers["rating"])(data)["logits"]).abs().mean()
    torch.testing.assert_close(step.loss, want)
    assert set(step.terms) == {"labels", "topic", "rating"}


def test_one_student_learns_all_tasks():
    data, teachers, student = tasks()
    terms = losses(0.0, FeatureDistance("l2", on="rating"))
    assert fit(Distiller(student, Specialists(teachers), terms), data, epochs=200) is student
    view = Frozen(student)(data)
    known = {task: Frozen(teacher)(data)["logits"] for task, teacher in teachers.items()}
    assert (view["topic"].argmax(dim=1) == known["topic"].argmax(dim=1)).float().mean() > 0.9
    assert (view["rating"] - known["rating"]).square().mean() < 0.3 * known["rating"].var()
    assert (view["logits"].argmax(dim=1) == data.y)[data.train_mask].float().mean() > 0.8


def own_call(model, batch):
    """Of models that answer in a tuple."""
    return model(batch["x"], batch["edge_index"])[0]


class Tupled(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x, edge_index):
        return (self.inner(x, edge_index),)


@pytest.mark.parametrize("as_teacher", [False, True])
def test_both_tasks_are_learnt_and_the_heads_go(as_teacher):
    """The other task has five classes; models may be called in any way."""
    data, teachers, _ = tasks()
    other = Frozen(teachers["topic"]) if as_teacher else Tupled(teachers["topic"])
    student, seen = Tupled(gcn(1, width=16)), []
    result = graphkd.distil(
        "must",
        student,
        Tupled(gcn(2)),
        data,
        hidden="inner.convs.0",
        call=own_call,
        other_teacher=other,
        threshold=0.0,
        epochs=50,
        log=seen.append,
    )
    for term in ("labels", "own", "other"):
        assert seen[-1][term] < seen[0][term]
    assert isinstance(result.model, Tupled)
    assert not result.model.inner.convs[0]._forward_hooks
    assert result.model.state_dict().keys() == student.state_dict().keys()


def test_without_another_teacher():
    with pytest.raises(ValueError, match="'must' needs a teacher of another task: give other_teacher=model"):
        graphkd.distil("must", gcn(1), gcn(2), graph(), hidden="convs.0", epochs=1)
