"""Similarity across graphs and to a memory: the formulas, one pair of nodes at a time."""

from __future__ import annotations

import math
from functools import partial
from typing import ClassVar

import pytest
import torch

from graphkd.losses import CIRKD, CIRKDMemory, cirkd, cirkd_memory
from tests.kernels.graphs import normal
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import STUDENT, TEACHER, WIDE_TEACHER, assert_value, dot, unit


def softmax(scores):
    total = sum(math.exp(score) for score in scores)
    return [math.exp(score) / total for score in scores]


def divergence(student, teacher, candidates, temperature):
    """Mean over nodes of KL(teacher || student); candidates are unit vectors, the student's and the teacher's."""
    total = 0.0
    for s, t in zip(student, teacher, strict=True):
        q, p = (
            softmax([dot(unit(x), c) / temperature for c in cs]) for x, cs in ((s, candidates[0]), (t, candidates[1]))
        )
        total += sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    return total / len(student)


# ---------------------------------------------------------------- definitions
@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_across_graphs(temperature):
    students, teachers = (normal(12, width, dtype=torch.float64, seed=width).view(3, 4, -1) for width in (3, 5))
    want = sum(
        divergence(students[i], teachers[i], [[unit(row) for row in x[j]] for x in (students, teachers)], temperature)
        for i in range(3)
        for j in range(3)
    )
    assert_value(cirkd(students, teachers, temperature), want / 9)
    assert_value(CIRKD(temperature)(students, teachers), want / 9)


def test_a_single_graph():
    want = divergence(STUDENT, WIDE_TEACHER, [[unit(row) for row in x] for x in (STUDENT, WIDE_TEACHER)], 0.1)
    assert_value(CIRKD()(STUDENT, WIDE_TEACHER), want)
    assert_value(CIRKD()(STUDENT[None], WIDE_TEACHER[None]), want)


@pytest.mark.parametrize(("temperature", "softened"), [(0.1, 1.0), (0.2, 3.0)])
def test_against_a_memory(temperature, softened):
    memory = torch.nn.functional.normalize(normal(7, 3, dtype=torch.float64, seed=0), dim=1)
    want = softened**2 * divergence(STUDENT, TEACHER, [memory, memory], temperature * softened)
    assert_value(cirkd_memory(STUDENT, TEACHER, memory, temperature, softened), want)


# ---------------------------------------------------------------- the memory
def remembering(**options):
    torch.manual_seed(0)
    return CIRKDMemory(8, 3, 5, **options).double()


def test_memory_is_by_node():
    loss = remembering()
    before = loss.memory.clone()
    loss(STUDENT, WIDE_TEACHER, n_id=torch.tensor([6, 0, 3, 1, 7]))
    for row, node in zip(WIDE_TEACHER, (6, 0, 3, 1, 7), strict=True):
        torch.testing.assert_close(loss.memory[node].tolist(), unit(row))
    assert torch.equal(loss.memory[[2, 4, 5]], before[[2, 4, 5]])
    loss.eval()
    loss(STUDENT, WIDE_TEACHER + 1, n_id=torch.tensor([2, 4, 5, 0, 1]))
    assert torch.equal(loss.memory[[2, 4, 5]], before[[2, 4, 5]])


def test_value_with_a_head():
    """Batch norm with the statistics of the batch between two linear maps; the memory has the batch's own rows."""
    loss = remembering()
    first, _, _, second = loss.head
    columns = []
    for k in range(5):
        column = [dot(first.weight[k].detach(), row) for row in STUDENT]
        mean = sum(column) / 5
        variance = sum((value - mean) ** 2 for value in column) / 5
        columns.append([max(0.0, (value - mean) / (variance + 1e-5) ** 0.5) for value in column])
    hidden = list(zip(*columns, strict=True))
    student = [[dot(w, row) for w in second.weight.detach()] for row in hidden]
    value = loss(STUDENT, WIDE_TEACHER, n_id=torch.arange(5))
    assert_value(value, divergence(student, WIDE_TEACHER, [loss.memory, loss.memory], 0.1))


def test_memory_survives_a_checkpoint():
    loss, other = remembering(), CIRKDMemory(8, 3, 5).double()
    loss(STUDENT, WIDE_TEACHER, n_id=torch.arange(5))
    other.load_state_dict(loss.state_dict())
    assert torch.equal(other.memory, loss.memory)
    assert "memory" not in dict(loss.named_parameters())


def test_without_ids_the_rows_are_all_nodes():
    torch.manual_seed(0)
    loss = CIRKDMemory(5, 3, 5).double()
    loss(STUDENT, WIDE_TEACHER)
    torch.testing.assert_close(loss.memory, torch.nn.functional.normalize(WIDE_TEACHER, dim=1))
    with pytest.raises(ValueError, match="'n_id' must say which of the 8 nodes the 5 rows are, got None"):
        remembering()(STUDENT, WIDE_TEACHER)


def test_samples_of_the_memory():
    """As many rows as asked for, each at most once."""
    loss = remembering(samples=8)
    value = loss(STUDENT, WIDE_TEACHER, n_id=torch.arange(5))
    fewer = remembering(samples=3)
    assert value != fewer(STUDENT, WIDE_TEACHER, n_id=torch.arange(5))
    everything = remembering(samples=100)
    torch.testing.assert_close(everything(STUDENT, WIDE_TEACHER, n_id=torch.arange(5)), value)


# ---------------------------------------------------------------- behaviour
def ids(graph, width):
    return {"n_id": torch.arange(graph.num_nodes) * 7 % 11}


class TestCIRKD(Behaviour):
    cases: ClassVar = {
        "CIRKD": Case(CIRKD, (3, 5)),
        "CIRKD_equal_widths": Case(partial(CIRKD, 1.0), at_teacher="zero"),
        "CIRKDMemory": Case(
            partial(CIRKDMemory, 11, 3, 5, samples=4),
            (3, 5),
            facts=ids,
            refused_width=r"'teacher' must be as wide as the memory \(5\), got 6",
        ),
    }
