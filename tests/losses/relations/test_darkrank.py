"""Orders of neighbours: every order of a list, written out, and the loops of TuSimple's operators."""

from __future__ import annotations

import math
from functools import partial
from itertools import permutations
from typing import ClassVar

import numpy as np
import pytest
import torch

from graphkd.losses import DarkRank, Proximity, darkrank
from tests.kernels.graphs import normal
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import NODES, STUDENT, TEACHER, WIDE_TEACHER, approx, assert_value, unit


def scores(x, query, candidates, alpha=3.0, beta=3.0):
    return [-alpha * math.dist(x[query], x[node]) ** beta for node in candidates]


def nearest(x, query, length=None):
    return sorted((node for node in range(len(x)) if node != query), key=lambda node: math.dist(x[query], x[node]))[
        :length
    ]


def log_likelihood(values):
    """Of the order that values have: softmax over those that are left, one choice after the other."""
    left = [math.log(sum(math.exp(v - values[i]) for v in values[i:])) for i in range(len(values))]
    return -sum(left)


def divergence(student, teacher):
    """Over all orders of a list."""
    orders = list(permutations(range(len(student))))
    p, q = ([log_likelihood([values[k] for k in order]) for order in orders] for values in (teacher, student))
    entropy = -sum(math.exp(a) * a for a in p)
    return -sum(math.exp(a) * b for a, b in zip(p, q, strict=True)) - entropy, entropy


def units(x):
    return torch.stack([approx(unit(row)) for row in x])


# ---------------------------------------------------------------- definitions
@pytest.mark.parametrize(("length", "alpha", "beta"), [(2, 3.0, 3.0), (4, 2.0, 3.0), (None, 1.5, 1.0), (9, 3.0, 2.0)])
def test_hard(length, alpha, beta):
    lists = [nearest(WIDE_TEACHER, q, length) for q in NODES]
    want = -sum(log_likelihood(scores(STUDENT, q, lists[q], alpha, beta)) for q in NODES) / 5
    assert_value(darkrank(STUDENT, WIDE_TEACHER, "hard", Proximity(alpha, beta), length=length), want)
    loss = DarkRank(alpha=alpha, beta=beta, length=length, normalise=False)
    assert_value(loss(STUDENT, WIDE_TEACHER), want)


@pytest.mark.parametrize(("length", "alpha", "beta"), [(1, 3.0, 3.0), (3, 0.5, 2.0), (4, 0.2, 3.0)])
@pytest.mark.parametrize("transfer", ["soft", "cross_entropy"])
def test_soft(transfer, length, alpha, beta):
    want = 0.0
    for q in NODES:
        near = nearest(WIDE_TEACHER, q, length)
        kl, entropy = divergence(*(scores(x, q, near, alpha, beta) for x in (STUDENT, WIDE_TEACHER)))
        want += (kl + (transfer == "cross_entropy") * entropy) / 5
    got = darkrank(STUDENT, WIDE_TEACHER, transfer, Proximity(alpha, beta), length=length)
    torch.testing.assert_close(got, approx(want), rtol=1e-10, atol=1e-14)


def test_rows_become_unit_vectors():
    for transfer in ("hard", "soft"):
        want = darkrank(units(STUDENT), units(WIDE_TEACHER), transfer)
        assert_value(DarkRank(transfer)(STUDENT, WIDE_TEACHER), float(want))


def test_scores_far_apart_stay_finite():
    """Chances of e^-10000 have a logarithm."""
    student = (40 * STUDENT).requires_grad_()
    for transfer in ("hard", "soft"):
        value = darkrank(student, TEACHER, transfer)
        assert value.isfinite()
        assert torch.autograd.grad(value, student)[0].isfinite().all()


# ---------------------------------------------------------------- TuSimple
def likelihood(exponentials):
    """Product of the chances of each choice, from the last to the first."""
    total, chance, chances = 0.0, 1.0, []
    for value in reversed(exponentials):
        total += value
        chance *= value / total
        chances.append(value / total)
    return chance, chances[::-1]


def tusimple_pull(student, query, order, power, scale, eps):
    """What their backward adds for one query and one order: nothing to the query, eps beside each exponential."""
    x = student * math.sqrt(scale)
    distances = ((x - x[query]) ** 2).sum(1)
    exponentials = np.exp(-(distances[order] ** power))
    chances = likelihood(exponentials)[1]
    pull = np.zeros_like(x)
    for i, node in enumerate(order):
        choices = sum(exponentials[i] / (exponentials[j] + eps) * chances[j] for j in range(i + 1))
        slope = power * distances[node] ** (power - 1)
        pull[node] += (choices - 1) * (x[node] - x[query]) * -2 * slope * math.sqrt(scale)
    return pull


@pytest.mark.parametrize(("power", "scale"), [(1.0, 1.0), (2.0, 1.5), (2.0, 3.5)])
def test_tusimple_hard(power, scale):
    student, teacher = (units(normal(7, width, dtype=torch.float64, seed=width)) for width in (3, 4))
    value, pull = 0.0, np.zeros((7, 3))
    for q in range(3):
        order = nearest(teacher, q)
        exponentials = [math.exp(-((scale * math.dist(student[q], student[node]) ** 2) ** power)) for node in order]
        value -= math.log(likelihood(exponentials)[0] + 1e-12) / 3
        pull += tusimple_pull(student.numpy(), q, order, power, scale, 1e-12) / 3
    student.requires_grad_()
    assert_value(DarkRank.tusimple("hard", power=power, scale=scale)(student, teacher), value)
    official = DarkRank.tusimple("hard", power=power, scale=scale, official_gradient=True)(student, teacher)
    assert_value(official, value)
    torch.testing.assert_close(torch.autograd.grad(official, student)[0], torch.from_numpy(pull), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("power", "scale", "length"), [(1.0, 1.0, 3), (2.0, 1.5, 4)])
def test_tusimple_soft(power, scale, length):
    student, teacher = (units(normal(7, width, dtype=torch.float64, seed=width)) for width in (3, 4))
    value, pull = 0.0, np.zeros((7, 3))
    for q in range(3):
        for order in permutations(nearest(teacher, q, length)):
            chance, ours = (
                likelihood([math.exp(-((scale * math.dist(x[q], x[n]) ** 2) ** power)) for n in order])[0]
                for x in (teacher, student)
            )
            value -= chance * math.log(ours) / 3
            pull += chance * tusimple_pull(student.numpy(), q, list(order), power, scale, 0.0) / 3
    student.requires_grad_()
    knobs = {"power": power, "scale": scale, "length": length}
    assert_value(DarkRank.tusimple("cross_entropy", **knobs)(student, teacher), value)
    official = DarkRank.tusimple("cross_entropy", **knobs, official_gradient=True)(student, teacher)
    assert_value(official, value)
    torch.testing.assert_close(torch.autograd.grad(official, student)[0], torch.from_numpy(pull), rtol=1e-9, atol=1e-12)


# ---------------------------------------------------------------- refusals
def test_unknown_choices():
    with pytest.raises(ValueError, match=r"'transfer' must be one of \('hard', .*, got 'medium'"):
        DarkRank("medium")
    with pytest.raises(ValueError, match=r"'queries' must be one of .*, got 'none'"):
        DarkRank(queries="none")


def test_lists_of_other_nodes():
    lists = DarkRank().digest(TEACHER[:4])
    with pytest.raises(ValueError, match="'teacher' must be about 5 nodes, got lists of 4"):
        DarkRank()(STUDENT, lists)


# ---------------------------------------------------------------- behaviour
class TestDarkRank(Behaviour):
    cases: ClassVar = {
        "DarkRank": Case(DarkRank, (3, 5)),
        "DarkRank_plain": Case(partial(DarkRank, alpha=0.5, length=3, normalise=False), (3, 5)),
        "DarkRank_soft": Case(partial(DarkRank, "soft", length=3), at_teacher="zero"),
        "DarkRank_cross_entropy": Case(partial(DarkRank, "cross_entropy", alpha=0.5), at_teacher="least"),
    }
