"""Students to choose among: given ones by name, MLPs, pruned ones, one hop; and what each costs."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch_geometric.nn import GCN, MLP, SGConv

import graphkd
from graphkd.compressing.choices import METHODS, auto_students, chosen_methods, pairs_of
from graphkd.compressing.measuring import costs_of, measure_by
from graphkd.compressing.one_hop import OneHop
from graphkd.compressing.pruning import pruned
from graphkd.compressing.sparse_input import SparseInput
from graphkd.compressing.students import given_students
from graphkd.serving import NumpyMLP, check_fetched
from graphkd.tasks import NodeClassification, Regression
from tests.core.models import CLASSES, FEATURES, gcn, graph


def mlp(width: int = 8, dropout: float = 0.0) -> MLP:
    return MLP([FEATURES, width, CLASSES], norm=None, dropout=dropout)


# ------------------------------------------------------------------ given ones
def test_students_are_named():
    found = given_students([mlp(), lambda: gcn(), lambda dropout: mlp(4, dropout), mlp()], 0)
    assert [each.name for each in found] == ["MLP", "GCN", "MLP-2", "MLP-3"]
    assert [each.reads_edges for each in found] == [False, True, False, False]
    assert [each.name for each in given_students({"small": mlp(), "wide": partial(mlp, 99)}, 0)] == ["small", "wide"]
    assert [each.name for each in given_students(mlp(), 0)] == ["MLP"]


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ([], ValueError, "'students' must have at least one"),
        ("mlp", TypeError, "'students' must be 'auto', a list of modules"),
        (3, TypeError, "'students' must be 'auto', a list of modules"),
        ([3], TypeError, "a student must be a module or a function that makes one, got int"),
        ([lambda: 3], TypeError, "a function that makes one, got int"),
        ([lambda width: mlp(width)], TypeError, r"a function of nothing or of 'dropout', it asks for \['width'\]"),
    ],
)
def test_wrong_students(given, error, words):
    with pytest.raises(error, match=words):
        given_students(given, 0)


# ------------------------------------------------------------------ made ones
def test_students_that_are_made():
    found = auto_students(FEATURES, CLASSES, edges=True, train=lambda wide: wide)
    assert len({each.name for each in found}) == len(found) >= 6
    assert not any(each.reads_edges for each in auto_students(FEATURES, CLASSES, edges=False, train=lambda wide: wide))
    data = graph()
    for each in found:
        made = each.make()
        given = (data.x, data.edge_index) if each.reads_edges else (data.x,)
        assert made(*given).shape == (len(data.x), CLASSES)
        shapes = [{name: value.shape for name, value in one.state_dict().items()} for one in (made, each.shape())]
        assert shapes[0] == shapes[1]
        assert each.hidden is None or made.get_submodule(each.hidden) is not None


def test_the_wide_one_is_trained_once_and_not_to_be_measured():
    trained = []
    found = auto_students(FEATURES, CLASSES, edges=False, train=lambda wide: trained.append(wide) or wide)
    shapes = [each.shape() for each in found]
    assert len(shapes) == len(found)
    assert trained == []
    (one,) = (each for each in found if each.name.startswith("pruned"))
    assert torch.equal(one.make().lins[0].weight, one.make(dropout=0.1).lins[0].weight)
    assert len(trained) == 1


def test_pruning_keeps_the_units_that_weigh_most():
    torch.manual_seed(0)
    wide = mlp(16)
    with torch.no_grad():
        weight = [float(wide.lins[0].weight[u].norm() * wide.lins[1].weight[:, u].norm()) for u in range(16)]
        kept = sorted(sorted(range(16), key=lambda unit: -weight[unit])[:5])
        narrow, x = pruned(wide, 5, 0.25), torch.randn(9, FEATURES)
        hidden = wide.lins[0](x).relu()
        hidden[:, [unit for unit in range(16) if unit not in kept]] = 0
        torch.testing.assert_close(narrow.eval()(x), wide.lins[1](hidden))
    assert narrow.dropout == [0.25, 0.0]


def test_what_is_not_pruned():
    with pytest.raises(ValueError, match="'width' must be from 1 to below the hidden layer's 8, got 8"):
        pruned(mlp(8), 8)
    for other in (MLP([6, 8, 3]), MLP([6, 8, 8, 3], norm=None), nn.Linear(6, 3)):
        with pytest.raises(ValueError, match="an MLP of one hidden layer and no norm is pruned"):
            pruned(other, 2)


def test_one_hop_by_its_formula():
    torch.manual_seed(0)
    model, data = OneHop(FEATURES, 4, CLASSES, dropout=0.5).eval(), graph()
    with torch.no_grad():
        hidden = model.lin(data.x).relu()
        for node in range(len(data.x)):
            sources = data.edge_index[0][data.edge_index[1] == node]
            mean = hidden[sources].mean(0) if len(sources) else torch.zeros(4)
            wanted = model.conv.lin_l(mean) + model.conv.lin_r(hidden[node])
            torch.testing.assert_close(model(data.x, data.edge_index)[node], wanted)
    assert check_fetched(model, data, range(30), hops=1) < 1e-5


# ------------------------------------------------------------------ methods
def test_methods_are_found_by_metadata():
    known = graphkd.methods()
    found = chosen_methods(known, "auto", kind="node_classification", has=["edges"])
    assert 3 <= len(found) <= 4
    assert "none" in [row.name for row in found]
    assert {row.name for row in found} <= {*METHODS}
    for kind in ("multi_label_node_classification", "regression", "graph_classification", "link_prediction"):
        rows = chosen_methods(known, "auto", kind=kind, has=[])
        assert {"kd", "none"} <= {row.name for row in rows}
        assert all(kind in row.tasks and not row.needs for row in rows)
    assert [row.name for row in chosen_methods(known, ["kd", "kd"], kind="regression", has=[])] == ["kd"]


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        (["kdd"], ValueError, "there is no method 'kdd'; the nearest are 'kd'"),
        (["gsp"], ValueError, "'gsp' needs the path of a hidden layer"),
        (["tmkd"], ValueError, "'tmkd' needs several teachers"),
        (["teacher_bounded"], ValueError, "'teacher_bounded' is for regression, the task is 'node_classification'"),
        (["cpf_ind"], ValueError, "'cpf_ind' has a student of its own"),
        ([], ValueError, "'methods' must have at least one name"),
        ("kd", TypeError, "'methods' must be 'auto' or a list of names, got 'kd'"),
        (7, TypeError, "'methods' must be 'auto' or a list of names, got 7"),
    ],
)
def test_methods_that_are_refused(asked, error, words):
    with pytest.raises(error, match=words):
        chosen_methods(graphkd.methods(), asked, kind="node_classification", has=["edges"])


def test_pairs_that_go_together():
    students = auto_students(FEATURES, CLASSES, edges=True, train=lambda wide: wide)
    rows = chosen_methods(graphkd.methods(), ["glnn", "kd", "gsp"], kind="node_classification", has=["hidden"])
    found = [(student.name, row.name) for student, row in pairs_of(students, rows)]
    assert len(set(found)) == len(found)
    assert ("one-hop-16", "glnn") not in found
    assert ("linear", "gsp") not in found
    assert ("mlp-16", "gsp") in found
    assert len(found) == 3 * len(students) - 3
    assert len({name for name, _ in found[: len(students)]}) >= len(students) - 2  # each comes early


# ------------------------------------------------------------------ costs
@pytest.fixture
def few_queries(monkeypatch):
    """As few as the clock takes."""
    monkeypatch.setattr("graphkd.compressing.measuring.QUERIES", 10)


def test_sparse_input_answers_as_the_runner():
    torch.manual_seed(0)
    x = torch.randn(7, FEATURES) * (torch.rand(7, FEATURES) < 0.3)
    x[2] = 0
    for model in (mlp(), MLP([FEATURES, CLASSES], norm=None), MLP([FEATURES, 5, 4, CLASSES])):
        runner = NumpyMLP.of(model)
        np.testing.assert_allclose(SparseInput(runner)(x.numpy()), runner(x.numpy()), rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="'runner' must begin with a linear layer"):
        SparseInput(NumpyMLP.of(nn.Sequential(nn.ReLU(), nn.Linear(3, 2))))


def test_costs_are_counted():
    model = MLP([FEATURES, 8, CLASSES])  # with a norm: 2 x 8 parameters, buffers of 2 x 8 numbers and one int64
    parameters = 7 * 8 + 9 * 3 + 16
    found = costs_of(model, 0.5, "given")
    assert (found.parameters, found.megabytes) == (parameters, (4 * (parameters + 16) + 8) / 1e6)


def test_each_student_is_timed_in_its_fastest_form(few_queries):
    data = NodeClassification().prepare(graph())
    data.x = data.x * (data.x > 1.5)  # mostly zeros
    models = {"mlp": mlp(), "edges": OneHop(FEATURES, 4, CLASSES), "own": nn.Sequential(nn.Linear(6, 3), nn.Tanh())}
    found = measure_by(data, NodeClassification(), None, None)(models)
    assert found["edges"].form == "torch, 1 hops"
    assert found["mlp"].form.startswith("numpy")
    assert found["own"].form == "torch"
    assert all(each.latency_ms > 0 for each in found.values())


def test_others_are_timed_by_a_batch(few_queries):
    data = graph()
    models = {"gcn": gcn()}
    for given, call in ((data, lambda model, batch: model(batch.x, batch.edge_index)), ([data], None)):
        found = measure_by(given, NodeClassification(), call, None)(models)
        assert found["gcn"].form == "torch, a batch"
    assert measure_by(data, Regression(), None, lambda model: 3)(models)["gcn"].latency_ms == 3.0


def test_what_cannot_be_fetched_is_said():
    class Deep(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = SGConv(FEATURES, CLASSES)

        def forward(self, x, edge_index):
            return self.conv(x, edge_index)

    with pytest.raises(TypeError, match=r"the student 'deep' cannot be timed by queries of a node: .*give 'latency'"):
        measure_by(graph(), NodeClassification(), None, None)({"deep": Deep()})


def test_lazy_models_are_given_their_widths(few_queries):
    model = GCN(-1, 4, 2, CLASSES)
    assert measure_by(graph(), NodeClassification(), None, None)({"gcn": model})["gcn"].parameters > 0
