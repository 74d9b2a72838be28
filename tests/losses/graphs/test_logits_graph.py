"""The logits graph of several teachers: earth mover's distances by their definitions."""

from __future__ import annotations

import itertools
import math
from functools import partial
from typing import ClassVar

import pytest
import torch

from graphkd.losses import LogitsGraph, earth_movers_distance, logits_adjacency, logits_graph
from graphkd.losses.graphs.logits_graph import joint_transport
from tests.kernels.graphs import normal
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import NODES, STUDENT, assert_value

TEACHERS = torch.stack([2 * normal(5, 3, dtype=torch.float64, seed=seed) for seed in range(3)])
RING = torch.tensor([[0.0, 1.0, 2.5], [1.0, 0.0, 1.5], [2.5, 1.5, 0.0]], dtype=torch.float64)  # a metric on a line
WEIGHTS = [0.2, 0.5, 0.3]
T = 2.0


def softmax(row):
    exps = [math.exp(float(value) / T) for value in row]
    return [value / sum(exps) for value in exps]


def moved(p, q, ground):
    """Along a line, what has to cross each gap times its length; between any two classes, what is too much."""
    if isinstance(ground, str) and ground == "discrete":
        return sum(max(a - b, 0.0) for a, b in zip(p, q, strict=True))
    lengths = [1.0, 1.0] if isinstance(ground, str) else [float(ground[k, k + 1]) for k in range(2)]
    return sum(abs(sum(p[: k + 1]) - sum(q[: k + 1])) * lengths[k] for k in range(2))


each_ground = pytest.mark.parametrize("ground", ["discrete", "ordered", RING], ids=["discrete", "ordered", "matrix"])


# ---------------------------------------------------------------- definitions
@each_ground
def test_pairwise(ground):
    distances = [[moved(softmax(TEACHERS[k, n]), softmax(STUDENT[n]), ground) for n in NODES] for k in range(3)]
    want = sum(w * sum(row) / 5 for w, row in zip(WEIGHTS, distances, strict=True))
    assert_value(logits_graph(STUDENT, TEACHERS, torch.tensor(WEIGHTS, dtype=torch.float64), ground=ground), want)
    equal = sum(sum(row) for row in distances) / 15
    assert_value(logits_graph(STUDENT, TEACHERS, ground=ground), equal)
    loss = LogitsGraph(ground=ground, weights=WEIGHTS).double()
    for teachers in (TEACHERS.movedim(1, 0), TEACHERS.movedim(1, 0).flatten(1)):  # stacked, and side by side
        torch.testing.assert_close(loss(STUDENT, teachers), torch.tensor(want, dtype=torch.float64), rtol=1e-7, atol=0)


@each_ground
def test_adjacency(ground):
    want = 0.0
    for n in NODES:
        p, q = [softmax(teacher[n]) for teacher in TEACHERS], softmax(STUDENT[n])
        for one in p:
            theirs = sum(moved(other, one, ground) for other in p) / 3
            want += (theirs - moved(q, one, ground)) ** 2 / 5
    assert_value(logits_adjacency(STUDENT, TEACHERS, ground=ground), want)
    teachers = TEACHERS.movedim(1, 0)
    loss = LogitsGraph(ground=ground, adjacency=3.0).double()
    assert_value(loss(STUDENT, teachers), float(logits_graph(STUDENT, TEACHERS, ground=ground)) + 3 * want)


@pytest.mark.parametrize("ground", ["ordered", RING], ids=["ordered", "matrix"])
def test_joint_on_a_line(ground):
    """One coupling is the cheapest for all pairs there."""
    want = 0.0
    for n in NODES:
        parts = [*(softmax(teacher[n]) for teacher in TEACHERS), softmax(STUDENT[n])]
        want += sum(moved(p, q, ground) for p, q in itertools.combinations(parts, 2)) / 5
    assert_value(logits_graph(STUDENT, TEACHERS, ground=ground, mode="joint"), want)
    loss = LogitsGraph(ground=ground, mode="joint").double()
    assert_value(loss(STUDENT, TEACHERS.movedim(1, 0)), want)


def test_joint_costs_no_less_than_its_pairs():
    """Each of three is even over two of three classes: no draw has all three in one, two of them differ twice."""
    mixed = (1 - torch.eye(3, dtype=torch.float64)) / 2
    pairs = [earth_movers_distance(p, q) for p, q in itertools.combinations(mixed, 2)]
    assert_value(sum(pairs), 1.5)
    assert_value(joint_transport(mixed[:, None])[0], 2.0)


def test_a_matrix_is_the_distance_it_spells():
    p, q = STUDENT.softmax(dim=1), TEACHERS[0].softmax(dim=1)
    places = torch.arange(3, dtype=torch.float64)
    line = (places[:, None] - places).abs()
    for name, matrix in (("ordered", line), ("discrete", line.clamp_max(1))):
        torch.testing.assert_close(earth_movers_distance(p, q, matrix), earth_movers_distance(p, q, name))


def test_gradient_of_a_linear_program():
    student = STUDENT.clone().requires_grad_()
    want, got = (
        torch.autograd.grad(logits_graph(student, TEACHERS, ground=ground), student)[0]
        for ground in ("discrete", 1 - torch.eye(3, dtype=torch.float64))
    )
    torch.testing.assert_close(got, want)


# ---------------------------------------------------------------- refusals
def test_refusals():
    with pytest.raises(ValueError, match=r"'teachers' must have shape \(K, N, C\), K above 0, got \(5, 3\)"):
        logits_graph(STUDENT, TEACHERS[0])
    with pytest.raises(ValueError, match="mode='joint' counts every pair of distributions once, got 'weights'"):
        logits_graph(STUDENT, TEACHERS, torch.ones(3), mode="joint")
    with pytest.raises(ValueError, match=r"'ground' must be one of \('discrete', 'ordered'\), got 'line'"):
        LogitsGraph(ground="line")
    with pytest.raises(ValueError, match=r"'mode' must be one of \('pairwise', 'joint'\), got 'all'"):
        LogitsGraph(mode="all")


# ---------------------------------------------------------------- behaviour
OTHER = r"'teacher' must hold logits of 3 classes for each of its models, got \(6, "


class TestLogitsGraph(Behaviour):
    cases: ClassVar = {
        "LogitsGraph": Case(LogitsGraph, at_teacher="zero", refused_width=OTHER + "4"),
        "LogitsGraph_two": Case(
            partial(LogitsGraph, ground="ordered", weights=[0.3, 0.7], adjacency=1.0), (3, 6), refused_width=OTHER + "7"
        ),
        "LogitsGraph_joint": Case(
            partial(LogitsGraph, ground=RING, mode="joint", temperature=1.0), refused_width=OTHER + "4"
        ),
    }
