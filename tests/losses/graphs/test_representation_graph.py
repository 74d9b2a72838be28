"""The representation graph of several teachers: pooling and discrepancies one component and one pair at a time."""

from __future__ import annotations

import itertools
import math
from functools import partial
from typing import ClassVar

import pytest
import torch

from graphkd.losses import RepresentationGraph, compact_bilinear, mean_discrepancy
from graphkd.losses.graphs.representation_graph import CountSketch
from tests.kernels.graphs import normal
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import NODES, STUDENT, assert_value, dot, unit

WIDTHS, DIMENSION = (4, 2, 3), 6
TEACHERS = [normal(5, width, dtype=torch.float64, seed=width) for width in WIDTHS]
KERNELS = {
    "linear": dot,
    "poly": lambda x, y: (dot(x, y) + 1) ** 2,
    "rbf": lambda x, y: math.exp(-0.7 * math.dist(x, y) ** 2),
}
each_kernel = pytest.mark.parametrize("kernel", KERNELS)


def pooled(one, other, first, second):
    """Component by component of the outer product."""
    found = [0.0] * first.dimension
    for i, x in enumerate(one):
        for j, y in enumerate(other):
            place = int(first.place[i] + second.place[j]) % first.dimension
            found[place] += float(x * y) * float(first.sign[i]) * float(second.sign[j])
    return found


def discrepancy(xs, ys, kernel):
    def mean(one, other):
        return sum(KERNELS[kernel](x, y) for x in one for y in other) / len(one) / len(other)

    return mean(xs, xs) + mean(ys, ys) - 2 * mean(xs, ys)


# ---------------------------------------------------------------- definitions
def test_compact_bilinear():
    torch.manual_seed(0)
    first, second = CountSketch(4, DIMENSION).double(), CountSketch(2, DIMENSION).double()
    got = compact_bilinear(first(TEACHERS[0]), second(TEACHERS[1]))
    want = [pooled(*rows, first, second) for rows in zip(*TEACHERS[:2], strict=True)]
    torch.testing.assert_close(got, torch.tensor(want, dtype=torch.float64))


def test_an_odd_dimension():
    torch.manual_seed(0)
    sketch = CountSketch(4, 7).double()
    got = compact_bilinear(sketch(TEACHERS[0]), sketch(TEACHERS[0]))
    torch.testing.assert_close(got[2].tolist(), pooled(TEACHERS[0][2], TEACHERS[0][2], sketch, sketch))


def test_a_sketch_uses_all_places_and_both_signs():
    sketch = CountSketch(1000, 5)
    assert set(sketch.place.tolist()) == set(range(5))
    assert set(sketch.sign.tolist()) == {-1.0, 1.0}


@each_kernel
def test_mean_discrepancy(kernel):
    want = discrepancy(STUDENT.tolist(), TEACHERS[2].tolist(), kernel)
    assert_value(mean_discrepancy(STUDENT, TEACHERS[2], kernel, 0.7), want)
    torch.testing.assert_close(float(mean_discrepancy(STUDENT, STUDENT.flip(0), kernel)), 0.0, rtol=0, atol=1e-12)


@each_kernel
def test_mean_over_pairs_of_teachers(kernel):
    torch.manual_seed(0)
    loss = RepresentationGraph(3, WIDTHS, DIMENSION, kernel=kernel, gamma=0.7).double()
    own = [unit(pooled(row, row, *loss.sketches)) for row in STUDENT]
    pairs = list(itertools.combinations(range(3), 2))
    want = 0.0
    for one, other in pairs:
        sketches = loss.teacher_sketches[one], loss.teacher_sketches[other]
        vertices = [unit(pooled(TEACHERS[one][n], TEACHERS[other][n], *sketches)) for n in NODES]
        want += discrepancy(vertices, own, kernel) / len(pairs)
    assert_value(loss(STUDENT, torch.cat(TEACHERS, dim=1)), want)


def test_sketches_survive_a_checkpoint():
    one, other = (RepresentationGraph(3, WIDTHS, DIMENSION).double() for _ in range(2))
    other.load_state_dict(one.state_dict())
    teacher = torch.cat(TEACHERS, dim=1)
    assert torch.equal(one(STUDENT, teacher), other(STUDENT, teacher))
    assert list(one.parameters()) == []


# ---------------------------------------------------------------- refusals
def test_refusals():
    with pytest.raises(ValueError, match=r"'teacher_widths' must name two teachers at least, got \[4\]"):
        RepresentationGraph(3, [4])
    with pytest.raises(ValueError, match=r"'kernel' must be one of \('linear', 'poly', 'rbf'\), got 'cosine'"):
        RepresentationGraph(3, WIDTHS, kernel="cosine")
    with pytest.raises(ValueError, match="'dimension' must be positive, got 0"):
        RepresentationGraph(3, WIDTHS, 0)


# ---------------------------------------------------------------- behaviour
class TestRepresentationGraph(Behaviour):
    cases: ClassVar = {
        f"RepresentationGraph_{kernel}": Case(
            partial(RepresentationGraph, 3, (2, 3), 8, kernel=kernel),
            (3, 5),
            refused_width=r"'teacher' must hold features of widths \[2, 3\], got 6 columns",
        )
        for kernel in KERNELS
    }
