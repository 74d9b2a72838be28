"""DIST: the formula, one correlation at a time."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import pytest

from graphkd.losses import DIST, dist, dist_relations
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import CLASSES, NODES, STUDENT, TEACHER, assert_value, softmax
from tests.losses.scene import SAME_WIDTH, apart


def pearson(one, other, eps):
    a, b = ([x - sum(values) / len(values) for x in values] for values in (one, other))
    lengths = [sum(x * x for x in values) ** 0.5 for values in (a, b)]
    return sum(x * y for x, y in zip(a, b, strict=True)) / (lengths[0] * lengths[1] + eps)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize("eps", [1e-8, 1e-2])
def test_dist(temperature, eps):
    p, q = ([softmax(side[i], temperature) for i in NODES] for side in (STUDENT, TEACHER))
    inter = sum(1 - pearson(p[i], q[i], eps) for i in NODES) / 5
    intra = sum(1 - pearson([row[c] for row in p], [row[c] for row in q], eps) for c in CLASSES) / 3
    got = dist_relations(STUDENT, TEACHER, temperature, eps=eps)
    assert_value(got[0], temperature**2 * inter)
    assert_value(got[1], temperature**2 * intra)
    want = temperature**2 * (2 * inter + 0.5 * intra)
    assert_value(dist(STUDENT, TEACHER, temperature, beta=2.0, gamma=0.5, eps=eps), want)
    assert_value(DIST(temperature, beta=2.0, gamma=0.5, eps=eps)(STUDENT, TEACHER), want)


def test_one_row_has_no_intra_part():
    row = STUDENT[:1].clone().requires_grad_()
    intra = dist_relations(row, TEACHER[:1])[1]
    intra.backward()
    assert intra == 1
    assert not row.grad.any()


class TestDIST(Behaviour):
    cases: ClassVar = {
        "DIST": Case(partial(DIST, 4.0, eps=1e-16), at_teacher="zero", distance=apart, refused_width=SAME_WIDTH),
        "DIST_defaults": Case(DIST, distance=apart, refused_width=SAME_WIDTH),
    }
