"""GSP: the formula, one pair of nodes at a time."""

from __future__ import annotations

import math
from functools import partial
from typing import ClassVar

import pytest
import torch

from graphkd.losses import GSP, gsp
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import NODES, STUDENT, TEACHER, WIDE_TEACHER, assert_value
from tests.losses.graphs.test_lsp import KERNELS

PAIRS = {
    "cosine": KERNELS["cosine"],
    "poly": lambda x, y: KERNELS["cosine"](x, y) ** 2,
    "euclidean": math.dist,
    "rbf": lambda x, y: math.exp(-0.5 * math.dist(x, y) ** 2),
}


def everywhere(kernel, student, teacher):
    k, nodes = PAIRS[kernel], range(len(student))
    differences = [k(student[i], student[j]) - k(teacher[i], teacher[j]) for i in nodes for j in nodes]
    return sum(d**2 for d in differences) / len(differences)


@pytest.mark.parametrize("kernel", PAIRS)
def test_gsp(kernel):
    want = everywhere(kernel, STUDENT, WIDE_TEACHER)
    assert_value(gsp(STUDENT, WIDE_TEACHER, kernel), want)
    assert_value(GSP(kernel)(STUDENT, WIDE_TEACHER), want)
    assert_value(GSP(kernel)(STUDENT, GSP(kernel).digest(WIDE_TEACHER)), want)


def test_gsp_poly_of_many_nodes_goes_by_gram_matrices():
    """d^2 columns cost less than all pairs here; the value is the same."""
    student, teacher = torch.cat([STUDENT, TEACHER.flip(1)])[:, :2], torch.cat([WIDE_TEACHER, -WIDE_TEACHER])[:, 2:4]
    assert_value(gsp(student, teacher, "poly"), everywhere("poly", student, teacher))


@pytest.mark.parametrize("kernel", PAIRS)
def test_gsp_of_a_sample(kernel):
    """The loss of that many different nodes, other ones at each step; all of them where there are not more."""
    loss = GSP(kernel, max_samples=4)
    sets = {
        round(everywhere(kernel, STUDENT[rows], WIDE_TEACHER[rows]), 10)
        for rows in ([n for n in NODES if n != left] for left in NODES)
    }
    drawn = set()
    for seed in range(20):
        torch.manual_seed(seed)
        drawn.add(round(float(loss(STUDENT, loss.digest(WIDE_TEACHER))), 10))
    assert drawn == sets
    whole = GSP(kernel, max_samples=5)
    torch.testing.assert_close(whole(STUDENT, whole.digest(WIDE_TEACHER)), gsp(STUDENT, WIDE_TEACHER, kernel))


def test_wrong_kernel_of_gsp():
    with pytest.raises(ValueError, match=r"'kernel' must be one of \('cosine', .*\), got 'dot'"):
        GSP("dot")(STUDENT, TEACHER)


def cosines(student, teacher, batch):
    """How far the matrices of all cosines are apart."""
    one, other = (torch.nn.functional.normalize(x, dim=1) for x in (student, teacher))
    return (one @ one.t() - other @ other.t()).abs().sum()


def distances(student, teacher, batch):
    """How far the matrices of all distances are apart."""
    return (torch.cdist(student, student) - torch.cdist(teacher, teacher)).abs().sum()


class TestGSP(Behaviour):
    cases: ClassVar = {
        "GSP": Case(GSP, (3, 5), distance=cosines),
        "GSP_of_one_width": Case(GSP, at_teacher="zero", distance=cosines),
        "GSP_poly": Case(partial(GSP, "poly"), (2, 5)),
        "GSP_euclidean": Case(partial(GSP, "euclidean"), (3, 5), distance=distances),
        "GSP_rbf": Case(partial(GSP, "rbf"), at_teacher="zero", distance=distances),
    }
