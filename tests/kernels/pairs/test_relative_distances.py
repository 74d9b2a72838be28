"""Distances over their mean: one form for few rows and one for many, equal rows, a teacher that learns too."""

from __future__ import annotations

import pytest
import torch

from graphkd.kernels import distance_divergence, mean_distance
from graphkd.kernels.pairs import tiles
from graphkd.kernels.pairs.relative_distances import relative_distance_divergence, scaled_distances
from tests.kernels.graphs import assert_close, normal


def sides(dtype=torch.float64):
    """Near, equal and zero rows among them."""
    student, teacher = (normal(12, width, dtype=dtype, seed=width) for width in (3, 4))
    student[5], student[6], student[7:9] = student[4], student[4] + 1e-3 * student[6], 0
    teacher[1], teacher[5] = teacher[0], teacher[4]
    return student.requires_grad_(), teacher


def results(function, *leaves):
    value = function(*leaves)
    return value.detach(), *torch.autograd.grad(value, [leaf for leaf in leaves if leaf.requires_grad])


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("edge", [512, 3])
def test_value_and_gradient_together_are_those_made_apart(squared, edge, monkeypatch):
    monkeypatch.setitem(tiles._EDGE, "cpu", edge)
    student, teacher = sides()
    scale = mean_distance(teacher, squared=squared)

    def apart(x):
        return distance_divergence(x, teacher, mean_distance(x, squared=squared), scale, squared=squared, delta=0.5)

    def together(x, known=()):
        return relative_distance_divergence(x, teacher, scale, known, squared=squared, delta=0.5)

    want = results(apart, student)
    known = scaled_distances(teacher, scale, squared=squared)
    found = results(together, student), results(lambda x: together(x, known), student)
    monkeypatch.setattr(tiles, "_BUDGET", 0)
    assert scaled_distances(teacher, scale) == ()
    for got in (*found, results(together, student)):
        for one, other in zip(got, want, strict=True):
            assert_close(one, other)
    assert_close(together(student.detach()), want[0])


def test_a_teacher_that_learns():
    student, teacher = sides()
    teacher.requires_grad_()
    got = results(lambda x, y: relative_distance_divergence(x, y, mean_distance(y)), student, teacher)
    want = results(lambda x, y: distance_divergence(x, y, mean_distance(x), mean_distance(y)), student, teacher)
    for one, other in zip(got, want, strict=True):
        assert torch.equal(one, other)


def test_the_teachers_scale_may_learn():
    student, teacher = sides()
    scale = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    value = relative_distance_divergence(student, teacher, scale)
    assert torch.autograd.grad(value, scale)[0] != 0


def test_tiles_of_another_size_are_refused(monkeypatch):
    student, teacher = sides()
    known = scaled_distances(teacher, mean_distance(teacher))
    monkeypatch.setitem(tiles._EDGE, "cpu", 5)
    with pytest.raises(RuntimeError, match="size"):
        relative_distance_divergence(student, teacher, mean_distance(teacher), known)


@pytest.mark.parametrize("rows", [0, 1])
def test_no_pairs(rows):
    student, teacher = torch.ones(rows, 3, requires_grad=True), torch.ones(rows, 2)
    value, slope = results(lambda x: relative_distance_divergence(x, teacher, mean_distance(teacher)), student)
    assert value == 0
    assert torch.equal(slope, torch.zeros(rows, 3))


def test_memory_budget(monkeypatch):
    """Two tiles on the diagonal and one beside them, 8 bytes a number."""
    x = torch.zeros(6, 2, dtype=torch.float64)
    monkeypatch.setitem(tiles._EDGE, "cpu", 3)
    for budget, fits in ((8 * 27, True), (8 * 27 - 1, False)):
        monkeypatch.setattr(tiles, "_BUDGET", budget)
        assert tiles.fit_in_memory(x) is fits
