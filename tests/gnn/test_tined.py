"""TINED: energies by loops over edges, what is injected, the three kinds of steps, and what is refused."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch import nn
from torch_geometric.nn import GAT, GCN, GraphSAGE

import graphkd
from benchmarks.graph.models import SampledSAGE
from graphkd.core.problem import Problem
from graphkd.gnn.tined import TINED, TINEDBatches, dirichlet_energy, energy_loss, energy_ratios, teacher_layers
from graphkd.gnn.tined_student import InjectedMLP, Transformation
from graphkd.tasks import NodeClassification
from tests.core.models import CLASSES, FEATURES, NODES, gcn, graph
from tests.losses.example import EDGE_INDEX, EDGES, STUDENT, TEACHER, unit


def slow(x) -> float:
    return sum((a - b) ** 2 for i, j in EDGES for a, b in zip(unit(x[i]), unit(x[j]), strict=True)) / len(x)


def test_energy():
    assert float(dirichlet_energy(STUDENT, EDGE_INDEX)) == pytest.approx(slow(STUDENT), rel=1e-12)
    x = torch.cat([STUDENT, torch.zeros_like(STUDENT[:1])])
    edges = torch.tensor([[0, 5], [5, 5]])
    assert float(dirichlet_energy(x, edges)) == pytest.approx(1 / 6)  # a row of zeros stays


def test_lengths_are_constants_in_the_gradient():
    x = STUDENT.clone().requires_grad_()
    length = x.detach().norm(dim=1, keepdim=True)
    want = sum(((x / length)[i] - (x / length)[j]).square().sum() for i, j in EDGES) / len(x)
    pair = [torch.autograd.grad(value, x)[0] for value in (dirichlet_energy(x, EDGE_INDEX), want)]
    torch.testing.assert_close(*pair)


@pytest.mark.parametrize("log", [True, False])
@pytest.mark.parametrize("root", [True, False])
def test_ratios_are_held_to_the_teachers(log, root):
    pairs, power = [(STUDENT, TEACHER), (TEACHER, STUDENT.square())], 0.5 if root else 1.0
    ratios = [slow(TEACHER) / slow(STUDENT), slow(STUDENT.square()) / slow(TEACHER)]
    targets = [1.3, 0.4]
    of = (lambda r: power * math.log(r)) if log else (lambda r: r**power)
    want = sum((of(r) - of(t)) ** 2 for r, t in zip(ratios, targets, strict=True))
    found = energy_loss(pairs, torch.tensor(targets).double(), EDGE_INDEX, log=log, root=root)
    assert float(found) == pytest.approx(want, rel=1e-6)


def test_an_energy_of_zero_counts_one():
    flat = torch.ones_like(STUDENT)
    assert energy_ratios([(flat, STUDENT)], EDGE_INDEX).tolist() == [1.0]
    assert energy_ratios([(STUDENT, flat)], EDGE_INDEX, log=True).tolist() == [1.0]


def problem(teacher) -> Problem:
    return Problem(None, [teacher], graph(), NodeClassification())


def sampled(features, width, layers, classes):
    """Layers of another class, which say their transformation themselves."""
    return SampledSAGE([features, *[width] * (layers - 1), classes])


@pytest.mark.parametrize("kind", [GCN, GraphSAGE, partial(GAT, heads=2), sampled])
def test_the_teachers_transformations_are_injected(kind):
    torch.manual_seed(0)
    teacher = kind(FEATURES, 12, 2, CLASSES).eval()
    layers, ratios = teacher_layers(problem(teacher))
    student, data = InjectedMLP(layers, dropout=0.5), graph()
    assert [tuple(linear.weight.shape) for linear in student.lins][::2] == [(12, FEATURES), (CLASSES, 12)]
    assert student.injected == [0, 2]
    loops = torch.arange(NODES).expand(2, -1)  # nobody but itself: what is left is the transformation
    hidden = teacher.convs[0](data.x, loops)
    first = next(iter(student.eval().pairs(data.x)))[1]
    torch.testing.assert_close(first, hidden)
    torch.testing.assert_close(student(data.x), teacher(data.x, loops).relu())  # ReLU is between the last two too
    edges = torch.cat([data.edge_index, loops, loops], dim=1) if kind is sampled else data.edge_index
    before, after = data.x, teacher.convs[0](data.x, edges) - layers[0].bias
    energies = [dirichlet_energy(x, data.edge_index) for x in (before, before @ layers[0].weight.t(), after)]
    want = torch.stack([energies[1] / energies[0], energies[2] / energies[1]])
    torch.testing.assert_close(ratios[:2], want.detach())


def test_a_propagation_may_come_first_and_ignore_positions():
    weight, bias = torch.randn(4, 3), torch.randn(4)
    student = InjectedMLP([Transformation(weight, bias)], first=[False], positions=2)
    x = torch.randn(5, 5)
    torch.testing.assert_close(student(x), x[:, :3].relu() @ weight.t() + bias)


def test_an_epoch_is_labelled_rows_then_all_then_the_graph():
    batches = list(TINEDBatches(problem(gcn(1)), batch_size=20, share=0.5))
    labelled = int(graph().train_mask.sum())
    rows = [batch["n_id"].tolist() for batch in batches[:-1]]
    assert [node for part in rows for node in part][labelled:] == list(range(NODES))
    of_labels = -(-labelled // 20)
    assert [bool(batch["labelled"].all()) for batch in batches[:-1]] == [i < of_labels for i in range(len(rows))]
    assert batches[-1]["energy_edges"].size(1) == graph().edge_index.size(1) // 2


def test_the_teachers_layers_have_a_rate_of_their_own():
    layers, ratios = teacher_layers(problem(gcn(1)))
    trainable = TINED(InjectedMLP(layers), 0.0, 1.0, ratios)
    make = trainable.optimizer_of(0.1, partial(torch.optim.Adam, lr=0.01))
    others, injected = make(trainable.parameters()).param_groups
    assert (others["lr"], injected["lr"]) == (0.01, pytest.approx(0.001))
    own = {id(p) for n in (0, 2) for p in trainable.student.lins[n].parameters()}
    assert {id(p) for p in injected["params"]} == own


def test_what_is_wrong_is_named():
    with pytest.raises(
        ValueError, match="'tined' reads the weights of GCNConv, SAGEConv or GATConv layers, Plain runs"
    ):
        graphkd.distil("tined", None, Plain(), graph(), epochs=1)
    with pytest.raises(ValueError, match="'init' must be one of"):
        graphkd.distil("tined", None, gcn(1), graph(), epochs=1, init="zero")
    with pytest.raises(ValueError, match=r"'batch_size' must be at least 1 and 'share' in \(0, 1\], got 512 and 2"):
        graphkd.distil("tined", None, gcn(1), graph(), epochs=1, share=2.0)


class Plain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lin = nn.Linear(FEATURES, CLASSES)

    def forward(self, x):
        return self.lin(x)
