"""Contrast of representations: the formula, one anchor at a time."""

from __future__ import annotations

import math
from functools import partial
from typing import ClassVar

import pytest
import torch

from graphkd.losses import GCRD, gcrd
from graphkd.losses.graphs.gcrd import Head
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import EDGE_INDEX, EDGES, NODES, STUDENT, TEACHER, WIDE_TEACHER, assert_value, dot, norm
from tests.losses.scene import OTHER_WIDTH

TAU = 0.2


def contrast(student, teacher, temperature=TAU):
    """(1 / N) sum_i [-a_i . b_i / tau + log sum_j exp(a_i . b_j / tau)]; a row of zeros has cosine 0 with all."""
    unit = [[[float(v) / max(norm(row), 1e-12) for v in row] for row in x] for x in (student, teacher)]
    total = 0.0
    for i in range(len(student)):
        scores = [dot(unit[0][i], b) / temperature for b in unit[1]]
        total += math.log(sum(math.exp(z) for z in scores)) - scores[i]
    return total / len(student)


def convolved(x, weight):
    """Graph convolution: every node gets the self-loop it lacks; weights 1 / sqrt(degree degree)."""
    edges = [*EDGES, *((node, node) for node in NODES if (node, node) not in EDGES)]
    degree = [sum(target == node for _, target in edges) for node in NODES]
    projected = [[dot(row, w) for w in weight] for row in x]
    out = [[0.0] * len(weight) for _ in NODES]
    for source, target in edges:
        for k, value in enumerate(projected[source]):
            out[target][k] += value / math.sqrt(degree[source] * degree[target])
    return out


def headed(head, x):
    """Map, batch norm with the statistics of the batch, ReLU."""
    if head.graph:
        mapped, bias = convolved(x, head.map.lin.weight.detach()), head.map.bias.detach()
    else:
        mapped, bias = [[dot(row, w) for w in head.map.weight.detach()] for row in x], head.map.bias.detach()
    columns = []
    for k, column in enumerate(zip(*mapped, strict=True)):
        column = [value + float(bias[k]) for value in column]
        mean = sum(column) / 5
        variance = sum((value - mean) ** 2 for value in column) / 5
        scale, shift = float(head.norm.weight[k].detach()), float(head.norm.bias[k].detach())
        columns.append([max(0.0, (value - mean) / math.sqrt(variance + 1e-5) * scale + shift) for value in column])
    return list(zip(*columns, strict=True))


# ---------------------------------------------------------------- definitions
def test_gcrd():
    assert_value(gcrd(STUDENT, TEACHER, TAU), contrast(STUDENT, TEACHER))
    assert_value(GCRD(temperature=TAU)(STUDENT, TEACHER), contrast(STUDENT, TEACHER))
    assert_value(GCRD()(STUDENT, TEACHER), contrast(STUDENT, TEACHER, 0.075))


@pytest.mark.parametrize("graph", [False, True])
def test_gcrd_with_heads(graph):
    torch.manual_seed(0)
    loss = GCRD(3, 5, projection=4, temperature=TAU, graph=graph).double()
    with torch.no_grad():
        for head in loss.heads:  # as after some steps
            head.norm.weight.uniform_(0.5, 1.5)
            head.norm.bias.uniform_(-0.2, 0.5)
            head.map.bias.uniform_(-0.2, 0.5)
    want = contrast(headed(loss.heads[0], STUDENT), headed(loss.heads[1], WIDE_TEACHER))
    assert_value(loss(STUDENT, WIDE_TEACHER, edge_index=EDGE_INDEX), want)


def test_both_heads_train_with_the_student():
    loss = GCRD(3, 5, projection=4).double()
    loss(STUDENT, WIDE_TEACHER).backward()
    assert len(list(loss.parameters())) == 8
    assert all(parameter.grad is not None for parameter in loss.parameters())


def test_a_row_of_zeros_has_cosine_0():
    student = STUDENT.clone()
    student[2] = 0
    assert_value(gcrd(student, TEACHER, TAU), contrast(student, TEACHER))


def test_gcrd_of_a_sample():
    sets = {
        round(contrast(STUDENT[rows], TEACHER[rows]), 10)
        for rows in ([n for n in NODES if n != left] for left in NODES)
    }
    drawn = set()
    for seed in range(20):
        torch.manual_seed(seed)
        drawn.add(round(float(GCRD(temperature=TAU, max_samples=4)(STUDENT, TEACHER)), 10))
    assert drawn == sets


def test_a_head_without_a_graph_needs_no_edges():
    assert Head(3, 4)(torch.randn(5, 3)).shape == (5, 4)


# ---------------------------------------------------------------- refusals
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"student_width": 3}, "give both widths or none, got 3 and None"),
        (
            {"graph": True, "where": "train_mask"},
            r"GCRD\(graph=True\) convolves the whole graph, got where='train_mask'",
        ),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        GCRD(**options)


def test_graph_heads_need_edges():
    with pytest.raises(ValueError, match=r"GCRD\(graph=True\) needs 'edge_index' from the batch, got None"):
        GCRD(3, 5, graph=True).double()(STUDENT, WIDE_TEACHER)


def test_wrong_temperature():
    with pytest.raises(ValueError, match=r"'temperature' must be positive, got 0\.0"):
        gcrd(STUDENT, TEACHER, 0.0)


def test_widths_differ_without_heads():
    with pytest.raises(ValueError, match=r"as wide as 'student' \(3\), got 5; GCRD\(student_width, teacher_width\)"):
        gcrd(STUDENT, WIDE_TEACHER)


# ---------------------------------------------------------------- behaviour
def told_apart(student, teacher, batch):
    """Minus how much nearer (in cosine) nodes are to their own teacher's row than to those of others."""
    one, other = (torch.nn.functional.normalize(x, dim=1) for x in (student, teacher))
    cosine = one @ other.t()
    return -(cosine.diagonal().mean() - cosine.mean())


projected = partial(Case, widths=(3, 5), refused_width=OTHER_WIDTH)


class TestGCRD(Behaviour):
    cases: ClassVar = {
        "GCRD": Case(
            partial(GCRD, temperature=0.5),
            distance=told_apart,
            refused_width=r"'teacher' must be as wide as 'student' \(3\), got 4; GCRD",
        ),
        "GCRD_heads": projected(partial(GCRD, 3, 5, projection=3, temperature=0.5)),
        "GCRD_graph_heads": projected(partial(GCRD, 3, 5, projection=3, temperature=0.5, graph=True), masked=False),
    }
