"""Distances and angles: the formulas, one pair and one triple at a time."""

from __future__ import annotations

import math
from functools import partial
from itertools import product
from typing import ClassVar

import pytest
import torch

from graphkd.losses import RKD, RKDAngle, RKDDistance, rkd, rkd_angle, rkd_distance
from tests.kernels.graphs import normal
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import NODES, STUDENT, TEACHER, WIDE_TEACHER, assert_value, dot, norm


def huber(error, delta=1.0):
    return error**2 / 2 if abs(error) <= delta else delta * (abs(error) - delta / 2)


def over_their_mean(x, power=1, floor=1e-12):
    x = x.tolist()
    distances = [
        [max(math.dist(a, b) ** 2, floor) ** (power / 2) * (i != j) for j, b in enumerate(x)] for i, a in enumerate(x)
    ]
    positive = [d for row in distances for d in row if d > 0]
    return [[d / (sum(positive) / len(positive)) for d in row] for row in distances]


def distance_error(student, teacher, delta=1.0, **knobs):
    s, t = (over_their_mean(x, **knobs) for x in (student, teacher))
    return sum(huber(s[i][j] - t[i][j], delta) for i, j in product(range(len(s)), repeat=2)) / len(s) ** 2


def cosine(x, corner, one, other):
    a, b = ((x[end] - x[corner]).tolist() for end in (one, other))
    return dot(a, b) / (norm(a) * norm(b)) if norm(a) * norm(b) else 0.0


def angle_error(student, teacher, delta=1.0):
    triples = list(product(range(len(student)), repeat=3))
    return sum(huber(cosine(student, *t) - cosine(teacher, *t), delta) for t in triples) / len(triples)


# ---------------------------------------------------------------- definitions
@pytest.mark.parametrize("delta", [1.0, 0.1])
def test_distance(delta):
    want = distance_error(STUDENT, WIDE_TEACHER, delta)
    assert_value(rkd_distance(STUDENT, WIDE_TEACHER, delta=delta), want)
    assert_value(rkd_distance(STUDENT, WIDE_TEACHER, delta=delta, diagonal=False), want * 5 / 4)
    if delta == 1.0:
        assert_value(RKDDistance()(STUDENT, WIDE_TEACHER), want)


def test_squared_distance():
    assert_value(rkd_distance(STUDENT, WIDE_TEACHER, squared=True), distance_error(STUDENT, WIDE_TEACHER, power=2))


def test_equal_rows_count_as_far_as_the_floor():
    """And have no gradient, where that of a root is infinite."""
    student, teacher = STUDENT[[0, 0, 1, 2, 2]].clone().requires_grad_(), WIDE_TEACHER[[0, 0, 0, 1, 2]]
    for floor in (1e-12, 0.25):
        assert_value(rkd_distance(student, teacher, floor=floor), distance_error(student, teacher, floor=floor))
    assert torch.autograd.grad(rkd_distance(student, teacher), student)[0].isfinite().all()
    assert_value(rkd_angle(student, teacher), angle_error(student, teacher))
    assert torch.autograd.grad(rkd_angle(student, teacher), student)[0].isfinite().all()


@pytest.mark.parametrize("delta", [1.0, 0.3])
def test_angle(delta):
    want = angle_error(STUDENT, WIDE_TEACHER, delta)
    assert_value(rkd_angle(STUDENT, WIDE_TEACHER, delta=delta), want)
    if delta == 1.0:
        assert_value(RKDAngle()(STUDENT, WIDE_TEACHER), want)


def test_both():
    want = 3 * distance_error(STUDENT, WIDE_TEACHER) + 4 * angle_error(STUDENT, WIDE_TEACHER)
    assert_value(rkd(STUDENT, WIDE_TEACHER, 3.0, 4.0), want)
    assert_value(RKD(3.0, 4.0)(STUDENT, WIDE_TEACHER), want)
    assert_value(
        (25 * RKD())(STUDENT, TEACHER), 25 * distance_error(STUDENT, TEACHER) + 50 * angle_error(STUDENT, TEACHER)
    )


# ---------------------------------------------------------------- properties
def test_neither_motion_nor_scale_matters():
    rotation = torch.linalg.qr(normal(3, 3, dtype=torch.float64, seed=0)).Q
    moved = 7 * STUDENT @ rotation + 100
    torch.testing.assert_close(RKD()(moved, TEACHER), RKD()(STUDENT, TEACHER))
    torch.testing.assert_close(
        rkd(7 * TEACHER @ rotation, TEACHER), torch.zeros((), dtype=torch.float64), atol=1e-12, rtol=0
    )


def test_angles_of_some_nodes():
    """The drawn nodes, the same of both sides; all distances."""
    drawn = set()
    for seed in range(40):
        torch.manual_seed(seed)
        drawn.add(round(float(rkd_angle(STUDENT, WIDE_TEACHER, max_samples=4)), 12))
    subsets = ([i for i in NODES if i != left_out] for left_out in NODES)
    wanted = {round(angle_error(STUDENT[rows], WIDE_TEACHER[rows]), 12) for rows in subsets}
    assert drawn == wanted
    torch.manual_seed(0)
    sampled = RKD(max_samples=4)(STUDENT, WIDE_TEACHER)
    torch.manual_seed(0)
    angle = rkd_angle(STUDENT, WIDE_TEACHER, max_samples=4)
    torch.testing.assert_close(sampled, rkd_distance(STUDENT, WIDE_TEACHER) + 2 * angle)


# ---------------------------------------------------------------- behaviour
def shape(student, teacher, batch):
    """Sum of the absolute differences of all distances over their mean."""
    one, other = (torch.cdist(x, x) for x in (student, teacher))
    return (one / one.mean() - other / other.mean()).abs().sum()


class TestRKD(Behaviour):
    cases: ClassVar = {
        "RKDDistance": Case(RKDDistance, (3, 5), distance=shape),
        "RKDDistance_equal_widths": Case(RKDDistance, at_teacher="zero", distance=shape),
        "RKDAngle": Case(RKDAngle, at_teacher="zero"),
        "RKDAngle_sampled": Case(partial(RKDAngle, max_samples=6), (3, 5)),
        "RKD": Case(RKD, (3, 5), distance=shape),
    }
