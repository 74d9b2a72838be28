from __future__ import annotations

import math

import pytest
import torch

import graphkd
from graphkd import Distiller, fit
from graphkd.gnn import PLP
from graphkd.losses import CE
from graphkd.tasks import predict
from tests.core.models import CLASSES, FEATURES, NODES, gcn, graph


def plp(data, seed=0, **options) -> PLP:
    torch.manual_seed(seed)
    options = {"hidden": 8, "steps": 3, "dropout": 0.0, "attention_dropout": 0.0} | options
    return PLP(FEATURES, CLASSES, data.y, data.train_mask, **options)


def scrambled(model):
    """Every parameter random, in float64."""
    generator = torch.Generator().manual_seed(3)
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return model.double()


def softmax(row):
    exps = [math.exp(float(x)) for x in row]
    return [e / sum(exps) for e in exps]


def neighbours(data, node):
    """Sources of the edges that enter a node, duplicates counted, and the node itself once, unless it has a loop."""
    found = [int(s) for s, t in data.edge_index.t() if t == node]
    return found if node in found else [*found, node]


def propagated(model, data):
    """The student's formula, node by node."""
    x, known = data.x.tolist(), data.train_mask.tolist()

    def layer(row, linear):
        return [sum(w * v for w, v in zip(ws, row, strict=True)) + b for ws, b in zip(*linear, strict=True)]

    def own(row):
        for number, lin in enumerate(model.lins):
            row = [max(value, 0.0) for value in row] if number else row
            row = layer(row, (lin.weight.tolist(), lin.bias.tolist()))
        return row if model.form == "code" else softmax(row)

    z = model.score.flatten().tolist()
    score = [sum(a * b for a, b in zip(row, z, strict=True)) for row in x] if model.mode == "inductive" else z
    prior = [
        [float(c == y) for c in range(CLASSES)] if k else [1 / CLASSES] * CLASSES
        for y, k in zip(data.y.tolist(), known, strict=True)
    ]
    state = prior
    for _ in range(model.steps):
        after = []
        for node in range(NODES):
            around = neighbours(data, node)
            weights = softmax([score[j] for j in around])
            mixed = [sum(w * state[j][c] for w, j in zip(weights, around, strict=True)) for c in range(CLASSES)]
            if model.lins:
                gate = 1 / (1 + math.exp(-model.alpha[node].item()))
                mixed = [gate * m + (1 - gate) * o for m, o in zip(mixed, own(x[node]), strict=True)]
            mixed = [max(m, 0.0) for m in mixed] if model.form == "code" else mixed
            after.append(prior[node] if known[node] else mixed)
        state = after
    return torch.tensor(state, dtype=torch.float64)


@pytest.mark.parametrize("form", ["code", "paper"])
@pytest.mark.parametrize(("mode", "layers"), [("inductive", 2), ("transductive", 1), ("inductive", 0)])
def test_propagation(mode, layers, form):
    data = graph()
    data.x = data.x.double()
    model = scrambled(plp(data, mode=mode, mlp_layers=layers, form=form))
    want = propagated(model, data)
    for training in (True, False):
        output = model.train(training)(data.x, data.edge_index).detach()
        torch.testing.assert_close(output if form == "code" else output.exp(), want)
    if form == "paper":
        torch.testing.assert_close(want.sum(1), torch.ones(NODES, dtype=torch.float64))


def test_attention_is_that_of_the_edges_then_of_the_missing_loops():
    data = graph()
    model = scrambled(plp(data)).eval()
    x = data.x.double()
    weight = model.attention(x, data.edge_index).detach()
    score = (x @ model.score.t())[:, 0].tolist()
    for number, (source, target) in enumerate(data.edge_index.t().tolist()):
        around = neighbours(data, target)
        want = softmax([score[j] for j in around])[around.index(source)]
        assert float(weight[number]) == pytest.approx(want)
    bare = [node for node in range(NODES) if [node, node] not in data.edge_index.t().tolist()]
    assert weight.size(0) == data.edge_index.size(1) + len(bare)


def test_the_mlp_is_computed_in_every_step_of_training_and_once_in_evaluation():
    data = graph()
    model, calls = plp(data, steps=4, dropout=0.5), []
    model.lins[1].register_forward_hook(lambda *_: calls.append(1))
    model.train()(data.x, data.edge_index)
    assert len(calls) == 4
    model.eval()(data.x, data.edge_index)
    assert len(calls) == 5


@pytest.mark.parametrize("name", ["cpf_ind", "cpf_tra"])
def test_the_student_learns_what_the_teacher_says(name):
    data = graph()
    del data.val_mask  # the last epoch, which is not the best on random labels
    teacher = fit(Distiller(gcn(1), losses=CE(where="train_mask")), data, epochs=50)
    taught = predict(teacher, data)

    def agreement(model):
        return float((predict(model, data) == taught)[~data.train_mask].float().mean())

    options = {"steps": 3, "width": 32, "dropout": 0.0, "attention_dropout": 0.0, "lr": 0.03}
    before, trained = (graphkd.distil(name, None, teacher, data, epochs=n, **options).model for n in (0, 100))
    assert agreement(trained) > max(agreement(before), 0.7)
    assert torch.equal(predict(trained, data)[data.train_mask], data.y[data.train_mask])


@pytest.mark.parametrize("form", ["code", "paper"])
def test_the_loss_goes_with_the_form(form):
    """One norm over all unlabelled nodes of labels with four decimals, or the sum of the nodes' norms."""
    data, options = graph(), {"steps": 3, "dropout": 0.0, "attention_dropout": 0.0}
    teacher, student, reports = gcn(1).eval(), plp(data, hidden=8, form=form), []
    p = student(data.x, data.edge_index).softmax(1)[~data.train_mask]
    q = teacher(data.x, data.edge_index).softmax(1)[~data.train_mask]
    squares = (p - (q.round(decimals=4) if form == "code" else q)).square().sum(1)
    want = (squares.sum().sqrt() if form == "code" else squares.sqrt().sum()).item()
    graphkd.distil("cpf_ind", None, teacher, data, width=8, form=form, epochs=1, log=reports.append, **options)
    assert reports[0]["soft_labels"] == pytest.approx(want, rel=1e-5)


def test_all_epochs_are_run_at_the_rate_that_is_asked_for():
    data, reports = graph(), []
    graphkd.distil("cpf_tra", None, gcn(1), data, lr=0.0, log=reports.append)
    assert [report["epoch"] for report in reports] == list(range(1, 500))
    served = graphkd.distil("cpf_tra", None, gcn(1), data, lr=0.0, epochs=2).model
    torch.testing.assert_close(served.alpha, torch.zeros(NODES, 1))


def test_it_serves_the_nodes_that_it_knows_and_refuses_others():
    data = graph()
    served = graphkd.distil("cpf_ind", None, gcn(1), data, epochs=1).model
    with pytest.raises(ValueError, match="'x' must have the 30 nodes that this PLP was made for, got 29"):
        served(data.x[1:], data.edge_index)
    with pytest.raises(ValueError, match="'cpf_ind' cannot take a loader: its student has a parameter for every node"):
        graphkd.distil("cpf_ind", None, gcn(1), [data], epochs=1)


def test_wrong_arguments_are_named():
    data = graph()
    with pytest.raises(ValueError, match=r"'mode' must be one of \('inductive', 'transductive'\), got 'ind'"):
        plp(data, mode="ind")
    with pytest.raises(ValueError, match="'form' must be one of"):
        plp(data, form="ours")
    with pytest.raises(ValueError, match="'steps' must be at least 1 and 'mlp_layers' 0, got 0 and 2"):
        plp(data, steps=0)
    with pytest.raises(ValueError, match="'x' must have the 30 nodes that this PLP was made for, got 29"):
        plp(data)(data.x[1:], data.edge_index)
    with pytest.raises(ValueError, match=r"'known' must be a mask of 30 rows, got 29"):
        PLP(FEATURES, CLASSES, data.y, data.train_mask[1:])
