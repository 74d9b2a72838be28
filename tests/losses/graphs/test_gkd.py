"""Graphs of cosines and their powers: the definition, one pair of nodes at a time."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import pytest
import torch

from graphkd.losses import GKD, geometric_graph, gkd
from graphkd.losses.graphs.gkd import normalised_rows
from tests.kernels.graphs import normal
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import assert_value

NODES = 9
Y = torch.tensor([0, 2, 1, 1, 0, 2, 1, 0, 1])
S, T = (normal(NODES, width, dtype=torch.float64, seed=width) + 0.2 for width in (3, 4))  # some below 0
each_mask = pytest.mark.parametrize("mask", [None, "intra", "inter"])
each_power = pytest.mark.parametrize("power", [1, 2, 3])


def product(a, b):
    return [[sum(x * y for x, y in zip(row, column, strict=True)) for column in zip(*b, strict=True)] for row in a]


def graph(x, mask=None, y=Y):
    """The normalised adjacency before its power."""
    x = [[max(float(value), 0.0) for value in row] for row in x]
    length = [sum(value**2 for value in row) ** 0.5 for row in x]
    nodes = range(len(x))
    w = [[0.0] * len(x) for _ in nodes]
    for i in nodes:
        for j in nodes:
            if i != j and length[i] and length[j]:
                w[i][j] = sum(a * b for a, b in zip(x[i], x[j], strict=True)) / length[i] / length[j]
    degree = [sum(row) for row in w]
    keep = {None: lambda i, j: True, "intra": lambda i, j: y[i] == y[j], "inter": lambda i, j: y[i] != y[j]}[mask]
    return [
        [w[i][j] / (degree[i] * degree[j]) ** 0.5 if w[i][j] > 0 and keep(i, j) else 0.0 for j in nodes] for i in nodes
    ]


def nearest(w, count):
    """Pairs of which one is among the ``count`` largest positive entries of the other's row."""
    best = [sorted((j for j in range(len(w)) if row[j] > 0), key=lambda j: -row[j])[:count] for row in w]
    return {(i, j) for i, row in enumerate(best) for j in row} | {(j, i) for i, row in enumerate(best) for j in row}


def powers(student, teacher, power=1, mask=None, neighbours=None):
    both = [graph(student, mask), graph(teacher, mask)]
    if neighbours is not None and neighbours < NODES - 1:
        kept = nearest(both[1], neighbours)
        both = [[[v if (i, j) in kept else 0.0 for j, v in enumerate(row)] for i, row in enumerate(w)] for w in both]
    found = both
    for _ in range(power - 1):
        found = [product(w, base) for w, base in zip(found, both, strict=True)]
    return found


def distance(student, teacher):
    return sum(
        (a - b) ** 2 for row, other in zip(student, teacher, strict=True) for a, b in zip(row, other, strict=True)
    )


# ---------------------------------------------------------------- definition
@each_mask
@each_power
@pytest.mark.parametrize("neighbours", [None, 1, 3, 50])
def test_definition(power, mask, neighbours):
    knobs = {"power": power, "mask": mask, "neighbours": neighbours}
    student, teacher = powers(S, T, **knobs)
    value = gkd(S, T, Y, **knobs)
    torch.testing.assert_close(float(value), distance(student, teacher), rtol=1e-10, atol=1e-13)
    loss = GKD(**knobs)
    torch.testing.assert_close(loss(S, loss.digest(T, y=Y), y=Y), value, rtol=1e-10, atol=1e-13)
    for x, want in ((S, student), (T, teacher)):
        got = geometric_graph(x, Y, **knobs, teacher=T)
        torch.testing.assert_close(got, torch.tensor(want, dtype=torch.float64), rtol=1e-10, atol=1e-13)


@each_mask
@each_power
@pytest.mark.parametrize("neighbours", [None, 2])
def test_gradient(power, mask, neighbours):
    """Of the exact forms, that of the matrices."""
    knobs = {"power": power, "mask": mask, "neighbours": neighbours}
    student = S.clone().requires_grad_()
    matrices = [geometric_graph(x, Y, **knobs, teacher=T) for x in (student, T)]
    (want,) = torch.autograd.grad((matrices[0] - matrices[1]).square().sum(), student)
    (got,) = torch.autograd.grad(gkd(student, T, Y, **knobs), student)
    torch.testing.assert_close(got, want, rtol=1e-8, atol=1e-12)


def test_layers_are_averaged():
    losses = 25 * GKD.layers(("first", "second", "third"), power=2)
    assert [(weight, loss.on, loss.power) for weight, loss in losses.parts()] == [
        (pytest.approx(25 / 3), name, 2) for name in ("first", "second", "third")
    ]


def test_maps_are_flattened():
    assert torch.equal(gkd(S.view(NODES, 3, 1), T.view(NODES, 2, 2)), gkd(S, T))


# ---------------------------------------------------------------- where the authors' code has no number
def test_nodes_without_similar_ones_have_no_edges():
    """A row of zeros, one below 0, and one orthogonal to all others; gradients stay finite."""
    student = torch.cat([S.abs(), torch.zeros(NODES, 1)], dim=1)
    student[1], student[2] = 0, -1
    student[3] = torch.tensor([0.0, 0.0, 0.0, 2.0])
    student.requires_grad_()
    rows = normalised_rows(student)
    assert not rows[1:4].any()
    assert rows[[0, 4]].any(dim=1).all()
    assert_value(gkd(student, T), distance(graph(student.detach()), graph(T)))
    for knobs in ({}, {"power": 2}, {"neighbours": 2}, {"neighbours": 2, "power": 2}):
        (slope,) = torch.autograd.grad(gkd(student, T, **knobs), student)
        assert slope.isfinite().all()
        assert slope.abs().max() < 1e3


def test_a_feature_of_0_has_a_gradient():
    """As after a ReLU: the graph of the features themselves, not of another ReLU."""
    student = S.abs()
    student[0, 0] = 0
    student.requires_grad_()
    (slope,) = torch.autograd.grad(gkd(student, T), student)
    assert slope[0, 0] != 0


# ---------------------------------------------------------------- refusals
@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"power": 0}, "'power' must be positive, got 0"),
        ({"neighbours": 0}, "'neighbours' must be positive, got 0"),
        ({"mask": "within"}, r"'mask' must be one of \('intra', 'inter'\), got 'within'"),
    ],
)
def test_wrong_options(knobs, message):
    with pytest.raises(ValueError, match=message):
        GKD(**knobs)


def test_masks_need_labels():
    with pytest.raises(ValueError, match="mask='intra' needs the classes 'y' of the nodes, got None"):
        GKD(mask="intra")(S, T)
    with pytest.raises(ValueError, match="'y' must hold 9 integer labels, got"):
        GKD(mask="inter")(S, T, y=Y[:5])


# ---------------------------------------------------------------- behaviour
def two_classes(graph, width):
    return {"y": torch.arange(graph.num_nodes) % 2}


def apart(student, teacher, batch):
    return (geometric_graph(student) - geometric_graph(teacher)).abs().sum()


class TestGKD(Behaviour):
    cases: ClassVar = {
        "GKD": Case(GKD, (3, 5), distance=apart),
        "GKD_equal_widths": Case(GKD, at_teacher="zero"),
        "GKD_squared": Case(partial(GKD, power=2), (3, 5)),
        "GKD_intra": Case(partial(GKD, mask="intra"), (3, 5), facts=two_classes),
        "GKD_inter": Case(partial(GKD, mask="inter"), (3, 5), facts=two_classes),
        "GKD_neighbours": Case(partial(GKD, neighbours=2, power=2), (3, 5)),
    }
