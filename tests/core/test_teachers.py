from __future__ import annotations

import pytest
import torch
from torch import nn

from graphkd import Cached, Distiller, Frozen, fit
from tests.core.models import Labels, Match, gcn, graph

TAPS = {"hidden": "convs.0"}


class Counting(nn.Module):
    """Counts how often a model is called."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.calls = model, 0

    def forward(self, x, edge_index):
        self.calls += 1
        return self.model(x, edge_index)


def test_a_frozen_teacher_is_in_eval_without_gradient_and_never_trained():
    data, teacher = graph(), gcn(1, dropout=0.5)
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    task = Distiller(gcn(2), teacher, {"a": Match(), "b": Labels()}, taps=TAPS)
    teacher.train()
    view = task.teacher(data)
    assert not teacher.training
    assert not view["logits"].requires_grad
    fit(task, data, epochs=3)
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_a_teacher_is_moved_but_not_registered():
    task = Distiller(gcn(1), gcn(2), Match(), taps=TAPS).double()
    assert task.teacher.model.convs[0].lin.weight.dtype == torch.float64
    assert not any(name.startswith("teacher") for name in task.state_dict())
    assert len(list(task.parameters())) == len(list(gcn().parameters())) + 1


def test_a_cached_teacher_is_called_once_and_digested_once():
    data, teacher = graph(), Counting(gcn(1))
    loss = Match()
    fit(Distiller(gcn(2), Cached(teacher), loss, taps={"hidden": ("convs.0", "model.convs.0")}), data, epochs=5)
    assert teacher.calls == 1
    assert loss.digests == 1


def test_a_cached_view_equals_the_frozen_one_and_is_sliced_by_node_id():
    data, teacher = graph(), gcn(1)
    frozen, cached = Frozen(teacher)(data)["logits"], Cached(teacher, data)
    rows = torch.tensor([7, 3, 3])
    assert torch.equal(cached({"n_id": rows})["logits"], frozen[rows])
    assert torch.equal(cached(data)["logits"], frozen)


def test_a_cached_teacher_knows_its_graph_by_content():
    data = graph()
    cached = Cached(gcn(1))
    first = cached(data)["logits"]
    assert torch.equal(cached(data.clone())["logits"], first)
    other = data.clone()
    other.x = other.x + 1
    with pytest.raises(ValueError, match=r"computed on another batch than this one.*'n_id', or use Frozen"):
        cached(other)


def test_a_part_needs_the_whole():
    with pytest.raises(ValueError, match=r"give the whole, Cached\(model, data\)"):
        Cached(gcn(1))({"n_id": torch.tensor([0])})


def test_a_teacher_that_shows_its_parameters_gets_no_gradient():
    teacher = torch.nn.Embedding(3, 2)
    view = Frozen(teacher, call=lambda model, batch: {"user": model.weight})({})
    assert not view["user"].requires_grad


def test_a_nan_teacher_is_refused():
    teacher = gcn(1)
    with torch.no_grad():
        teacher.convs[1].bias[0] = float("nan")
    for make in (Frozen, Cached):
        with pytest.raises(ValueError, match=r"the teacher's 'logits' must be finite, got 30 NaN or infinite of 90"):
            make(teacher)(graph())


def test_a_teacher_must_be_a_module():
    with pytest.raises(TypeError, match=r"'model' must be an nn.Module, got dict"):
        Frozen({})  # type: ignore[arg-type]
